"""The database of the features that a command's flags name."""

import argparse
from pathlib import Path

from feature_backfill.errors import UserError


def feature_database(options: argparse.Namespace) -> Path:
    """The database that --feat-duckdb or --duckdb names. Raises UserError if neither is given."""
    database: Path | None = options.feat_duckdb or options.duckdb
    if database is None:
        raise UserError("name the database of the features with --feat-duckdb, or with --duckdb if OHLCV is in it too")
    return database
