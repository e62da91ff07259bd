"""`feature-backfill export`: stored rows of a feature key into a Parquet file, for training."""

import argparse
import os
from contextlib import suppress
from pathlib import Path

import pandas as pd

from feature_backfill.commands.selection import parsed_hour
from feature_backfill.errors import UserError
from feature_backfill.store.feature_reading import read_features


def execute(options: argparse.Namespace) -> int:
    """Read the rows, write them to the file, say how many there are."""
    database = options.feat_duckdb or options.duckdb
    if database is None:
        raise UserError("name the database of the features with --feat-duckdb, or with --duckdb if OHLCV is in it too")
    start, end = parsed_hour("--start", options.start), parsed_hour("--end", options.end)
    features = read_features(database, options.feature_key, start, end, options.columns)
    if features.index.empty:
        raise UserError(f"no row of {options.feature_key} from {start or 'the first'} to {end or 'the last'}")
    write_parquet(features, options.file)
    hours, columns = features.shape
    print(f"{options.file}: {hours} hours of {columns} features, {features.index[0]} .. {features.index[-1]}")
    return 0


def write_parquet(features: pd.DataFrame, file: Path) -> None:
    """Write a column ts and one of each feature (float64). The file appears whole or not at all.

    Raises UserError if it cannot be written.
    """
    if file.suffix.lower() != ".parquet":
        raise UserError(f"{file} would be a Parquet file; call it .parquet")
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        features.reset_index().to_parquet(unfinished, index=False)
        unfinished.replace(file)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
