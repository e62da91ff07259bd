"""The public archive of an exchange's candles: which files there are, and the rows of one.

Binance's is known: https://github.com/binance/binance-public-data. A day's file appears on the next day, a month's at
the beginning of the next month.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import requests

from feature_backfill.config import ExchangeSource
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR
from feature_backfill.sources.download import WrongChecksumError, download
from feature_backfill.sources.files import read_ohlcv_files

BASES = {"binance": "https://data.binance.vision", "binanceusdm": "https://data.binance.vision"}
"""By exchange: where its archive is."""


@dataclass(frozen=True)
class ArchiveFile:
    """A file of the archive. first, last: the hours it is for, UTC-naive."""

    address: str
    first: pd.Timestamp
    last: pd.Timestamp

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.address.rpartition("/")[2]


@dataclass(frozen=True)
class ArchiveRows:
    """What a file holds.

    ohlcv: rows x (timestamp, open, high, low, close, volume); None if there is no such file, or it cannot be used.
    warning: why it cannot be used, or what is to be said although it can.
    """

    file: ArchiveFile
    ohlcv: pd.DataFrame | None
    warning: str | None = None


class Archive:
    """The files of one market."""

    def __init__(self, base: str, kind: str, symbol: str) -> None:
        """kind: spot or futures/um; symbol: as the exchange spells it."""
        self._base, self._kind, self._symbol = base.rstrip("/"), kind, symbol
        self._threads = threading.local()

    def daily(self, day: pd.Timestamp) -> ArchiveFile:
        """The file of a day."""
        return ArchiveFile(self._address("daily", f"{day:%Y-%m-%d}"), day, day + 23 * HOUR)

    def monthly(self, month: pd.Timestamp) -> ArchiveFile:
        """The file of the month that begins with a day."""
        return ArchiveFile(self._address("monthly", f"{month:%Y-%m}"), month, month + pd.offsets.MonthBegin(1) - HOUR)

    def rows(self, file: ArchiveFile, now: pd.Timestamp) -> ArchiveRows:
        """Download and check a file; several threads may call this. now: the exchange's time.

        Raises RunError if the archive cannot be reached, and UserError if it refuses.
        """
        try:
            downloaded = download(self._session(), file.address)
        except WrongChecksumError:
            return ArchiveRows(file, None, "not what the checksum says, not used")
        if downloaded is None:
            return ArchiveRows(file, None)
        with TemporaryDirectory(prefix="feature_backfill_") as folder:
            path = Path(folder, "archive.zip")
            path.write_bytes(downloaded.content)
            try:
                read = read_ohlcv_files([path], now)
            except UserError as error:
                return ArchiveRows(file, None, f"not used, {str(error).replace(str(path), 'the file')}")
        if len(read.refused) or not read.ohlcv["timestamp"].between(file.first, file.last).all():
            reason = read.refused["reason"].iloc[0] if len(read.refused) else "hours of another time"
            return ArchiveRows(file, None, f"bad rows ({reason}), not used")
        return ArchiveRows(file, read.ohlcv, None if downloaded.vouched else "without a checksum, used anyway")

    def _address(self, period: str, date: str) -> str:
        folder = f"{self._base}/data/{self._kind}/{period}/klines/{self._symbol}/1h"
        return f"{folder}/{self._symbol}-1h-{date}.zip"

    def _session(self) -> requests.Session:
        """One for each thread: a session keeps its connection, and is not made for several threads."""
        if not hasattr(self._threads, "session"):
            self._threads.session = requests.Session()
        session: requests.Session = self._threads.session
        return session


def archive_of(source: ExchangeSource, market: dict[str, Any]) -> Archive | None:
    """The archive that a source is to use; None if there is none, or the source wants none.

    market: what ccxt knows about the market. Raises UserError if the YAML names an archive of an exchange whose files
    are not known.
    """
    if source.archive == "none":
        return None
    if source.exchange not in BASES:
        if source.archive == "auto":
            return None
        raise UserError(
            f"source.archive: only the files of {', '.join(BASES)} are known, not those of {source.exchange}; remove it"
        )
    kind = "spot" if market["spot"] else "futures/um" if market["swap"] and market["linear"] else None
    base = BASES[source.exchange] if source.archive == "auto" else source.archive
    return None if kind is None else Archive(base, kind, market["id"])
