"""Hourly OHLCV from CSV and Parquet files into an OHLCV table.

A row that cannot be trusted is refused with its reason, never mended. The import is idempotent: the same files again
change nothing.
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
# An epoch number is read in the unit that puts it between 1973 and 5138, which only one of s, ms, us, ns does.
_EPOCH_SECONDS = (1e8, 1e11)
_EPOCH_UNITS_PER_SECOND = (1.0, 1e3, 1e6, 1e9)


@dataclass(frozen=True)
class ImportedRows:
    """Rows of files, sorted out.

    ohlcv: sound rows x (timestamp, open, high, low, close, volume), ascending and distinct UTC-naive stamps, float64.
    refused: the other rows x (place, reason): the file and the stamp as it is written there, or the line.
    """

    ohlcv: pd.DataFrame
    refused: pd.DataFrame


@dataclass(frozen=True)
class ImportReport:
    """What an import did: hours by what became of them, refused rows by reason, the first refused place of each reason.

    hours: those that were new or changed, UTC-naive, ascending.
    """

    new: int
    changed: int
    same: int
    refused: dict[str, int]
    examples: dict[str, str]
    hours: pd.DatetimeIndex


def import_files(paths: Iterable[Path], database: Path, table: str, now: pd.Timestamp | None = None) -> ImportReport:
    """Read and check all files, then upsert their sound rows into a table; file and table are created.

    now: UTC-naive; the clock if not given.

    Raises UserError if a file cannot be read (then nothing is written) or the table cannot take the rows.
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
    )


def read_ohlcv_files(paths: Iterable[Path], now: pd.Timestamp | None = None) -> ImportedRows:
    """The rows of all files together: an hour in two files counts once if they agree, and is refused if not.

    now: UTC-naive; the clock if not given. The hour that is still running is refused.

    Raises UserError if a file cannot be read.
    """
    read = {path: read_file(path) for path in paths}
    rows = pd.concat([file.rows.assign(file=str(path)) for path, file in read.items()], ignore_index=True)
    rows["place"] = rows["file"] + ": " + rows["timestamp"].fillna("no timestamp")
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
    """Why each row is refused, None where it is not."""
    reasons = row_faults(rows)
    reasons[reasons.isna() & (rows["timestamp"] > last_closed)] = "hour not closed yet"
    reasons[reasons.isna() & (rows["timestamp"] < EARLIEST)] = f"timestamp before {EARLIEST:%Y}"
    reasons[rows["timestamp"].isna()] = "timestamp does not parse"
    return reasons


def _parsed(texts: pd.Series) -> pd.Series:
    """UTC-naive stamps of ISO 8601 texts (an offset is converted) and of epoch numbers; NaT where a text is neither."""
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
