"""The target that a command's flags name."""

import argparse
from pathlib import Path

from feature_backfill.commands.shared.market import market_named
from feature_backfill.config import Lake, read_markets
from feature_backfill.errors import UserError


def feature_database(options: argparse.Namespace) -> Path | Lake:
    """The DuckDB file that --feat-duckdb or --duckdb names, or the target of the market that --market names.

    Raises UserError if none is given, or if there is no such market.
    """
    if options.market is not None:
        return market_named(read_markets(), options.market).target
    database: Path | None = options.feat_duckdb or getattr(options, "duckdb", None)
    if database is None:
        raise UserError(
            "name the database of the features with --feat-duckdb, with --duckdb if OHLCV is in it too, or with "
            "--market as in configs/"
        )
    return database
