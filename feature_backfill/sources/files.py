"""Imports hourly OHLCV from CSV and Parquet files into an OHLCV table.

A bad row is refused with a reason and never corrected. The import is idempotent: importing the same files again changes
nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from feature_backfill.engine.bars import row_faults
from feature_backfill.hours import EARLIEST, last_closed_hour
from feature_backfill.store.database import connect
from feature_backfill.store.files import read_file
from feature_backfill.store.ohlcv import OHLCV_COLUMNS, upsert_ohlcv

_ISO_STAMP = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?"
# Of s, ms, us and ns, only one unit puts an epoch number between the years 1973 and 5138. That unit is used.
_EPOCH_SECONDS = (1e8, 1e11)
_EPOCH_UNITS_PER_SECOND = (1.0, 1e3, 1e6, 1e9)


@dataclass(frozen=True)
class ImportedRows:
    """The rows of files, split into sound and refused ones.

    ohlcv: sound rows x (timestamp, open, high, low, close, volume). Timestamps are UTC-naive, ascending and distinct;
        the other columns are float64.
    refused: refused rows x (place, reason). The place is the file with the timestamp as written there, or with the line
        number.
    """

    ohlcv: pd.DataFrame
    refused: pd.DataFrame


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    new, changed, same: numbers of rows that were added, replaced other values, or were in the table already.
    refused: number of refused rows by reason; examples: the place of the first refused row by reason.
    hours: the hours that are new or changed, UTC-naive, ascending.
    left_empty: further columns of the table, which are NULL in the new rows.
    """

    new: int
    changed: int
    same: int
    refused: dict[str, int]
    examples: dict[str, str]
    hours: pd.DatetimeIndex
    left_empty: tuple[str, ...]


def import_files(paths: Iterable[Path], database: Path, table: str, now: pd.Timestamp | None = None) -> ImportReport:
    """Read and check all files, then upsert their sound rows into a table. Creates the database and table if needed.

    now: UTC-naive; the clock by default.

    Raises UserError if a file cannot be read or the table cannot take the rows. Then nothing is written.
    """
    rows = read_ohlcv_files(paths, now)
    with connect(database, read_only=False) as connection:
        stored = upsert_ohlcv(connection, table, rows.ohlcv)
    refused = rows.refused.groupby("reason")["place"]
    return ImportReport(
        new=stored.new,
        changed=stored.changed,
        same=stored.same,
        refused={str(reason): len(places) for reason, places in refused},
        examples={str(reason): places.iloc[0] for reason, places in refused},
        hours=stored.hours,
        left_empty=stored.left_empty,
    )


def read_ohlcv_files(paths: Iterable[Path], now: pd.Timestamp | None = None) -> ImportedRows:
    """Read and check the rows of all files together.

    An hour that occurs in several rows counts once if the rows are equal, and is refused if they are not. An hour that
    has not closed is refused.

    now: UTC-naive; the clock by default.

    Raises UserError if a file cannot be read.
    """
    read = {path: read_file(path) for path in paths}
    rows = pd.concat([file.rows.assign(file=str(path)) for path, file in read.items()], ignore_index=True)
    # Without rows, the column is of objects, which pandas 3.0 does not join to text.
    rows["place"] = rows["file"] + ": " + rows["timestamp"].fillna("no timestamp").astype("str")
    rows["timestamp"] = _parsed(rows["timestamp"])
    rows["reason"] = _reasons(rows, last_closed_hour(now))
    sound = rows["reason"].isna()
    refused = [rows.loc[~sound, ["place", "reason"]]]
    for path, file in read.items():
        places = [f"{path}: line {line}" for line in file.malformed_lines]
        refused.append(pd.DataFrame({"place": places, "reason": "malformed line"}))
    return ImportedRows(
        ohlcv=rows.loc[sound, list(OHLCV_COLUMNS)].drop_duplicates().sort_values("timestamp", ignore_index=True),
        refused=pd.concat(refused, ignore_index=True),
    )


def _reasons(rows: pd.DataFrame, last_closed: pd.Timestamp) -> pd.Series:
    """The reason why each row is refused; None for a sound row."""
    reasons = row_faults(rows)
    reasons[reasons.isna() & (rows["timestamp"] > last_closed)] = "hour not closed yet"
    reasons[reasons.isna() & (rows["timestamp"] < EARLIEST)] = f"timestamp before {EARLIEST:%Y}"
    reasons[rows["timestamp"].isna()] = "timestamp does not parse"
    return reasons


def _parsed(texts: pd.Series) -> pd.Series:
    """UTC-naive timestamps of ISO 8601 texts, with offsets converted, and of epoch numbers. NaT for other texts."""
    texts = texts.str.strip()
    is_iso = texts.str.fullmatch(_ISO_STAMP, na=False)
    iso = pd.to_datetime(texts.where(is_iso), format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None)
    return iso.dt.as_unit("us").where(is_iso, _epoch_stamps(texts.mask(is_iso)))


def _epoch_stamps(texts: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(texts, errors="coerce").astype("float64")
    microseconds = pd.Series(float("nan"), index=texts.index)
    for per_second in _EPOCH_UNITS_PER_SECOND:
        seconds = numbers / per_second
        microseconds = microseconds.mask(seconds.between(*_EPOCH_SECONDS, inclusive="left"), (seconds * 1e6).round())
    return pd.to_datetime(microseconds, unit="us", errors="coerce").dt.as_unit("us")
