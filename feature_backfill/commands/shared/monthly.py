"""A folder of monthly Parquet files of one feature key, brought up to date.

Each file notes what it was written from. A month whose rows, names and number type are still the same is left alone.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from feature_backfill.commands.shared.parquet import read_note, write_parquet
from feature_backfill.config import Lake, asset_slug
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR
from feature_backfill.store.database import connect
from feature_backfill.store.reading import Dtype, read_features
from feature_backfill.store.row_contents import Month, months_of


@dataclass(frozen=True)
class MonthlyExport:
    """What an export did: the folder, the months that it wrote, and those that it left because nothing had changed."""

    folder: Path
    written: list[str]
    left: list[str]


def export_months(
    database: Path | Lake,
    feature_key: str,
    start: pd.Timestamp | None,
    end: pd.Timestamp | None,
    names: Sequence[str],
    dtype: Dtype,
    parent: Path,
) -> MonthlyExport:
    """Write `<parent>/<slug of the key>/<YYYY-MM>.parquet` for each month from start to end that is new or changed.

    Months are whole, whatever hour start and end name. Raises UserError if a file cannot be written, or if the folder
    holds another key with the same slug.
    """
    folder = parent / asset_slug(feature_key)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}") from error
    written, left = [], []
    with connect(database, read_only=True) as connection:
        months = months_of(connection, feature_key, start, end)
    if start is None and end is None:
        _refuse_gone_months(folder, feature_key, months)
    for month in months:
        file = folder / f"{month.first:%Y-%m}.parquet"
        note, note_there = _note(feature_key, month, names, dtype), read_note(file)
        _refuse_other_key(file, note_there, feature_key)
        if note == note_there:
            left.append(file.stem)
            continue
        last = month.first + pd.DateOffset(months=1) - HOUR
        write_parquet(read_features(database, feature_key, month.first, last, names, dtype=dtype), file, note)
        written.append(file.stem)
    return MonthlyExport(folder, written, left)


def _note(feature_key: str, month: Month, names: Sequence[str], dtype: Dtype) -> str:
    parts = {"feature_key": feature_key, "rows": month.rows, "digest": month.digest, "names": names, "dtype": dtype}
    return json.dumps(parts)


def _refuse_gone_months(folder: Path, feature_key: str, months: Sequence[Month]) -> None:
    """Raise UserError if the folder has files of months of which no row is stored any more."""
    stored = {f"{month.first:%Y-%m}" for month in months}
    gone = [file.name for file in sorted(folder.glob("*.parquet")) if read_note(file) and file.stem not in stored]
    if gone:
        raise UserError(
            f"{folder} has {', '.join(gone)}, of which no row is stored under {feature_key} any more: readers of the "
            "folder would mix them with the others. Remove these files, then export again"
        )


def _refuse_other_key(file: Path, note: str, feature_key: str) -> None:
    key_there = json.loads(note)["feature_key"] if note else feature_key
    if key_there != feature_key:
        raise UserError(f"{file} holds rows of the key {key_there}, not of {feature_key}; export to another folder")
