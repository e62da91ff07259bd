"""The arguments of the commands about a feature set: which market, which features, which hours."""

import argparse
from pathlib import Path
from typing import Any

from feature_backfill.commands.arguments.completion import completed, feature_keys, market_names
from feature_backfill.commands.shared.defaults import DEFAULT_TABLE

_COLUMN: dict[str, Any] = {
    "nargs": 3,
    "action": "append",
    "default": [],
    "metavar": ("NAME", "BAR", "IF_BAD"),
    "help": "further column that they read; last, sum, mean, max or min of a bar's hours; skip or null if bad",
}
"""The option of commands that take features of a user's own."""


def _add_what_and_where(command: argparse.ArgumentParser, many_markets: bool = False) -> None:
    """Which market, and which feature set of it."""
    _add_databases(command, many_markets)
    _add_feature_set(command)


def _add_databases(command: argparse.ArgumentParser, many_markets: bool) -> None:
    where = command.add_argument_group("where", "Without --duckdb the market comes from the YAML files of configs/.")
    if many_markets:
        market = where.add_argument(
            "--market",
            action="append",
            help="market of configs/; given more than once, or without --feature-key: the history of all its feature "
            "sets, of as many markets at once as there are cores",
        )
        where.add_argument("--all", action="store_true", help="the same, for every market of configs/")
    else:
        market = where.add_argument("--market", help="market of configs/, if several have the feature key")
    completed(market, market_names)
    where.add_argument(
        "--duckdb", type=Path, help="database of the OHLCV table; opened read-only unless it holds the features too"
    )
    where.add_argument("--feat-duckdb", type=Path, help="database of the features, if not --duckdb")
    where.add_argument("--table", help=f"OHLCV table, {DEFAULT_TABLE} if not given")


def _add_feature_set(command: argparse.ArgumentParser) -> None:
    what = command.add_argument_group("what", "Not given: as configured for the feature key, else the value named.")
    what.add_argument("--base-hours", type=int, help="hours of history a row is computed from (720)")
    what.add_argument("--buffer-hours", type=int, help="hours before them that complete the oldest bar (0)")
    what.add_argument("--timeframes", nargs="+", metavar="T", help="bars, of 1H 2H 3H 4H 6H 8H 12H 1D (1H 4H 12H 1D)")
    what.add_argument("--feature-list", type=Path, help="JSON array of the names to store (all)")
    what.add_argument(
        "--feature-modules", nargs="+", metavar="M", help="modules of features of your own, such as my_desk.features"
    )
    what.add_argument("--column", **_COLUMN)
    what.add_argument(
        "--missing",
        choices=("auto", "null", "nan"),
        help="how NaN and infinities are stored: JSON null, bare tokens, or as the key's rows have them (auto)",
    )


def add_run(command: argparse.ArgumentParser) -> None:
    """Of `run`."""
    completed(command.add_argument("--feature-key", help="key under which the rows are stored"), feature_keys)
    _add_what_and_where(command, many_markets=True)
    hours = command.add_argument_group(
        "which hours", "Times are UTC unless they carry an offset; ranges include both ends."
    )
    modes = ("window", "last_from_features", "ts_list")
    hours.add_argument("--mode", choices=modes, default="window", help="window if not given")
    hours.add_argument("--start", help="first hour; without it the last 49 hours, of many markets all history")
    hours.add_argument("--end", help="last hour; without it the last closed hour")
    hours.add_argument("--ts", nargs="+", default=[], metavar="T", help="hours of --mode ts_list")
    hours.add_argument("--ts-file", type=Path, help="file with one hour a line, for --mode ts_list")
    hours.add_argument(
        "--at-most", type=int, metavar="N", help="compute no more than the N oldest hours that are not stored"
    )
    command.add_argument("--overwrite", action="store_true", help="compute stored hours again")
    command.add_argument("--dry-run", action="store_true", help="say what would be done, write nothing")
    command.add_argument("--verbose", action="store_true", help="list every hour that --dry-run would compute")
    command.add_argument("--json", action="store_true", help="print what became of the hours as one JSON object")


def add_recompute_stale(command: argparse.ArgumentParser) -> None:
    """Of `recompute-stale`."""
    completed(command.add_argument("--feature-key", required=True, help="key of the rows"), feature_keys)
    _add_what_and_where(command)
    command.add_argument("--dry-run", action="store_true", help="say which hours are stale, write nothing")


def add_selftest(command: argparse.ArgumentParser) -> None:
    """Of `selftest`."""
    _add_what_and_where(command)
    completed(
        command.add_argument("--compare-key", required=True, help="key whose stored rows are compared with"),
        feature_keys,
    )
    completed(
        command.add_argument("--feature-key", default="selftest", help="key of the test rows, which are kept nowhere"),
        feature_keys,
    )
    command.add_argument("--start", help="first hour; without it 24 hours before the end")
    command.add_argument("--end", help="last hour; without it the last one stored under --compare-key")


def add_check(command: argparse.ArgumentParser) -> None:
    """Of `check`."""
    completed(command.add_argument("--feature-key", required=True, help="key of the rows"), feature_keys)
    _add_what_and_where(command)
    command.add_argument("--json", action="store_true", help="print the findings as a JSON list")


def add_check_features(command: argparse.ArgumentParser) -> None:
    """Of `check-features`."""
    command.add_argument("module", metavar="MODULE", help="module of features, such as my_desk.features")
    command.add_argument("--duckdb", type=Path, help="try them on this database too")
    command.add_argument("--table", help=f"its OHLCV table, {DEFAULT_TABLE} if not given")
    command.add_argument("--column", **_COLUMN)
    command.add_argument("--base-hours", type=int, default=720, help="hours of history a row is computed from (720)")
    command.add_argument(
        "--timeframes", nargs="+", metavar="T", default=["1H", "4H", "12H", "1D"], help="bars (1H 4H 12H 1D)"
    )


def add_repair(command: argparse.ArgumentParser) -> None:
    """Of `repair`."""
    completed(
        command.add_argument("--feature-key", help="the market that has this key; without it all of configs/"),
        feature_keys,
    )
    _add_what_and_where(command)
    command.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
