"""OHLCV in CSV files, line by line."""

import io
import zipfile
from pathlib import Path

HEADER = "timestamp,open,high,low,close,volume"
SOUND = "10,11,9,10.5,5.5"
"""A row without its timestamp, with nothing wrong."""


def rows(*lines: str, header: str = HEADER) -> str:
    """The text of a file."""
    return "\n".join([header, *lines]) + "\n"


def written(path: Path, *lines: str, header: str = HEADER) -> Path:
    """The path, where the file now is."""
    path.write_text(rows(*lines, header=header), encoding="utf-8")
    return path


def kline(stamp: object) -> str:
    """A sound row as exchanges publish it, in 12 columns."""
    return f"{stamp},{SOUND},{stamp},57.75,40,2.5,26.25,0"


KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def zipped(*members: tuple[str, str | bytes]) -> bytes:
    """A zip file of members, each with its name and content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()
