"""`feature-backfill export`: stored rows of a feature key into Parquet, one file or one a month, for training."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from feature_backfill.commands.shared.database import feature_database
from feature_backfill.commands.shared.hours import parsed_hour
from feature_backfill.commands.shared.monthly import export_months
from feature_backfill.commands.shared.parquet import write_parquet
from feature_backfill.config import read_feature_list
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR
from feature_backfill.store.reading import newest_names, read_features


def execute(options: argparse.Namespace) -> int:
    """Write the rows to a file, or to files of the months that are new or changed, and say what was written."""
    database = feature_database(options)
    start, end = parsed_hour("--start", options.start), parsed_hour("--end", options.end)
    as_of = parsed_hour("--as-of", options.as_of)
    if options.monthly and as_of is not None:
        raise UserError("--as-of goes with one file, not with --monthly, whose later calls extend what is there")
    if options.monthly:
        start, end = _whole_months(start, end)
    elif options.file.suffix.lower() != ".parquet":
        raise UserError(f"{options.file} would be a Parquet file; call it .parquet, or give --monthly for a folder")
    stored = newest_names(database, options.feature_key, start, end, as_of)
    if not stored:
        raise UserError(f"no row of {options.feature_key} from {start or 'the first'} to {end or 'the last'}")
    chosen = options.columns
    if options.feature_list is not None:
        chosen = read_feature_list(options.feature_list, stored)
    names = stored if chosen is None else chosen
    if options.monthly:
        done = export_months(database, options.feature_key, start, end, names, options.dtype, options.file)
        print(f"{done.folder}: wrote {_months(done.written)}; left {_months(done.left)}, unchanged")
    else:
        features = read_features(database, options.feature_key, start, end, names, as_of, options.dtype)
        write_parquet(features, options.file)
        print(_summary(options.file, features))
    return 0


def _summary(file: Path, features: pd.DataFrame) -> str:
    hours, columns = features.shape
    return f"{file}: {hours} hours of {columns} features, {features.index[0]} .. {features.index[-1]}"


def _months(months: Sequence[str]) -> str:
    count = f"{len(months)} month{'' if len(months) == 1 else 's'}"
    if not months:
        return count
    return f"{count} ({months[0]})" if len(months) == 1 else f"{count} ({months[0]} .. {months[-1]})"


def _whole_months(
    start: pd.Timestamp | None, end: pd.Timestamp | None
) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    """From the first hour of the first month to the last hour of the last."""
    return (
        None if start is None else pd.Timestamp(start.year, start.month, 1),
        None if end is None else pd.Timestamp(end.year, end.month, 1) + pd.DateOffset(months=1) - HOUR,
    )
