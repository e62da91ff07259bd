"""The arguments of the commands about what a database holds."""

import argparse
from pathlib import Path

from feature_backfill.commands.arguments.completion import completed, feature_keys, market_names


def _add_target(command: argparse.ArgumentParser, required: bool = True) -> None:
    """Where the rows are."""
    where = command.add_mutually_exclusive_group(required=required)
    where.add_argument("--feat-duckdb", type=Path, help="database of the features")
    completed(
        where.add_argument(
            "--market", help="market of configs/, whose target has the features: a DuckDB file or a lake"
        ),
        market_names,
    )


def add_export(command: argparse.ArgumentParser) -> None:
    """Of `export`."""
    command.add_argument(
        "file", type=Path, metavar="FILE.parquet|DIR", help="file to write, replaced if there is one; or the folder"
    )
    command.add_argument(
        "--monthly",
        action="store_true",
        help="write DIR/KEY/2025-01.parquet and so on, of whole months, and only those that are new or changed",
    )
    completed(command.add_argument("--feature-key", required=True, help="key of the rows"), feature_keys)
    _add_target(command, required=False)
    command.add_argument("--duckdb", type=Path, help="database of OHLCV and features, if they are in one")
    command.add_argument("--start", help="first hour; without it the first stored")
    command.add_argument("--end", help="last hour; without it the last stored")
    command.add_argument("--as-of", help="export the rows as they stood at this time (UTC), not as they are now")
    names = command.add_mutually_exclusive_group()
    names.add_argument("--columns", nargs="+", metavar="NAME", help="features to export, in this order (all)")
    names.add_argument("--feature-list", type=Path, help="JSON array of the features to export, in this order (all)")
    command.add_argument(
        "--dtype", choices=("float64", "float32"), default="float64", help="type of the values (float64)"
    )


def add_view(command: argparse.ArgumentParser) -> None:
    """Of `view`."""
    command.add_argument("view", metavar="NAME", help="view to create, or to replace")
    completed(command.add_argument("--feature-key", required=True, help="key of the rows"), feature_keys)
    _add_target(command, required=False)
    command.add_argument("--duckdb", type=Path, help="database of OHLCV and features, if they are in one")


def add_keys(command: argparse.ArgumentParser) -> None:
    """Of `keys`."""
    _add_target(command)
    command.add_argument("--json", action="store_true", help="print a JSON list with an object for each key")


def add_forget_ohlcv(command: argparse.ArgumentParser) -> None:
    """Of `forget-ohlcv`."""
    _add_target(command)


def add_retire_key(command: argparse.ArgumentParser) -> None:
    """Of `retire-key`."""
    completed(
        command.add_argument("--feature-key", required=True, help="key whose rows are moved to the replaced rows"),
        feature_keys,
    )
    _add_target(command)


def add_prune(command: argparse.ArgumentParser) -> None:
    """Of `prune`."""
    command.add_argument("--before", required=True, help="time (UTC); rows that were replaced earlier are dropped")
    _add_target(command)
    completed(command.add_argument("--feature-key", help="key of the rows (all)"), feature_keys)


def add_convert(command: argparse.ArgumentParser) -> None:
    """Of `convert`."""
    command.add_argument("database", type=Path, metavar="FILE.duckdb", help="database to rewrite, in place")
    command.add_argument("--no-backup", action="store_true", help="do not keep the old file as FILE.duckdb.bak")


def add_maintain(command: argparse.ArgumentParser) -> None:
    """Of `maintain`."""
    completed(
        command.add_argument("market", metavar="MARKET", help="market of configs/ whose target is a lake"), market_names
    )
    command.add_argument("--keep-days", type=int, metavar="N", help="keep snapshots younger than N days (7)")
