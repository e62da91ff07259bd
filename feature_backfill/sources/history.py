"""A month of an archive: its daily files, its monthly file, and a sample of both compared with the API.

Monthly files of Binance were seen to disagree with the daily files in single rows, where the daily files agreed with
the API. So a day's own file comes first, and where the two differ the API is asked for that day.
"""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from zlib import crc32

import pandas as pd

from feature_backfill.hours import HOUR, hour_range
from feature_backfill.sources.archive import Archive, ArchiveFile, ArchiveRows
from feature_backfill.store.files import many_files
from feature_backfill.store.ohlcv import OHLCV_COLUMNS

THREADS = 6
"""How many files are downloaded at a time."""

DISAGREES = "disagrees with the API, not used"

DAY = pd.Timedelta(days=1)

Ask = Callable[[pd.DatetimeIndex], pd.DataFrame]
"""Asks the API for hours; returns its rows x (timestamp, open, high, low, close, volume)."""


def month_of_history(
    archive: Archive, wanted: pd.DatetimeIndex, now: pd.Timestamp, ask: Ask
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """What the archive holds of the wanted hours of one month, and warnings with the names of their files.

    now: the exchange's time, UTC-naive.
    Returns rows x (timestamp, open, high, low, close, volume), in order of time, of files that agree with the API.

    Raises RunError if archive or API cannot be reached, and UserError if they refuse.
    """
    days = [day for day in wanted.normalize().unique() if day + DAY <= now]
    month = archive.monthly(wanted[0].normalize().replace(day=1))
    files = [archive.daily(day) for day in days] + ([month] if month.last + HOUR <= now else [])
    loaded = _all_rows(archive, files, now)
    warnings: dict[str, list[str]] = {}
    for rows in loaded:
        if rows.warning is not None:
            warnings.setdefault(rows.warning, []).append(rows.file.name)
    held = {rows.file: rows.ohlcv for rows in loaded if rows.ohlcv is not None}
    for file, hour in _disagreeing(held, month, ask).items():
        del held[file]
        warnings.setdefault(DISAGREES, []).append(f"{file.name} at {hour:%Y-%m-%d %H:%M}")
    # The daily files come first, so their rows are kept.
    if not held:
        return pd.DataFrame(columns=list(OHLCV_COLUMNS)), warnings
    ohlcv = pd.concat(held.values()).drop_duplicates("timestamp").sort_values("timestamp")
    return ohlcv[ohlcv["timestamp"].isin(wanted)].reset_index(drop=True), warnings


def _all_rows(archive: Archive, files: Iterable[ArchiveFile], now: pd.Timestamp) -> list[ArchiveRows]:
    threads = ThreadPoolExecutor(THREADS)
    try:
        with many_files():
            futures = [threads.submit(archive.rows, file, now) for file in files]
            return [future.result() for future in futures]
    finally:  # after a failure or Ctrl-C, nobody waits for the pauses of the others
        threads.shutdown(wait=False, cancel_futures=True)


def _disagreeing(
    held: dict[ArchiveFile, pd.DataFrame], month: ArchiveFile, ask: Ask
) -> dict[ArchiveFile, pd.Timestamp]:
    """The files that disagree with the API in the sample, each with its first hour that does.

    The sample is a day of the monthly file, and each day whose own file says something else than the monthly file. If
    that shows the monthly file wrong, every day's file is compared.
    """
    monthly = held.get(month)
    daily = {file: rows for file, rows in held.items() if file != month}
    days = {file.first for file, rows in daily.items() if monthly is None or _differs(rows, _within(monthly, file))}
    if monthly is not None:
        covered = hour_range(month.first, month.last)[::24]
        days.add(covered[crc32(month.name.encode()) % len(covered)])
    found = _compared(held, days, ask)
    if month in found:
        found |= _compared(daily, {file.first for file in daily} - days, ask)
    return found


def _compared(
    held: dict[ArchiveFile, pd.DataFrame], days: Collection[pd.Timestamp], ask: Ask
) -> dict[ArchiveFile, pd.Timestamp]:
    """The files that disagree with the API on some days, each with its first hour that does."""
    if not days:
        return {}
    truth = ask(pd.DatetimeIndex([hour for day in sorted(days) for hour in hour_range(day, day + 23 * HOUR)]))
    found = {}
    for file, rows in held.items():
        here = rows[rows["timestamp"].dt.normalize().isin(days)]
        hour = _first_difference(here, _within(truth, file))
        if hour is not None:
            found[file] = hour
    return found


def _within(rows: pd.DataFrame, file: ArchiveFile) -> pd.DataFrame:
    return rows[rows["timestamp"].between(file.first, file.last)]


def _differs(rows: pd.DataFrame, others: pd.DataFrame) -> bool:
    return _first_difference(rows, others) is not None


def _first_difference(rows: pd.DataFrame, others: pd.DataFrame) -> pd.Timestamp | None:
    """The first hour that is not the same in both, None if there is none."""
    both = pd.concat([rows, others])
    unpaired = both.loc[~both.duplicated(keep=False), "timestamp"]
    return None if unpaired.empty else unpaired.min()
