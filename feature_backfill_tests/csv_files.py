"""OHLCV in CSV files, line by line."""

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
