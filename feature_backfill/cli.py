"""The command line `feature-backfill`: arguments in, exit code out.

0 done, also when all was skipped or nothing was to do; 2 bad arguments or configuration; 3 failed.
Commands are imported when they are called, so that --help answers at once.
"""

import argparse
import gc
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from rich_argparse import RichHelpFormatter

from feature_backfill.commands.arguments.completion import complete
from feature_backfill.commands.arguments.looking import add_looking_commands
from feature_backfill.commands.shared.defaults import DEFAULT_TABLE
from feature_backfill.errors import BAD_ARGUMENTS, FAILED, RunError, UserError

_COLUMN: dict[str, Any] = {
    "nargs": 3,
    "action": "append",
    "default": [],
    "metavar": ("NAME", "BAR", "IF_BAD"),
    "help": "further column that they read; last, sum, mean, max or min of a bar's hours; skip or null if bad",
}
"""The option of commands that take features of a user's own."""


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": RichHelpFormatter, "allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_ARGUMENTS, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The arguments of every command."""
    root = _Parser(
        prog="feature-backfill", description="Features of hourly OHLCV: backfill, import, check, demonstrate."
    )
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="compute the features of a window, of what is new, or of a list of hours"))
    _add_recompute_stale(
        commands.add_parser("recompute-stale", help="compute rows anew whose OHLCV was corrected since")
    )
    _add_selftest(
        commands.add_parser(
            "selftest", help="compute hours once more, compare them with the stored rows, store nothing"
        )
    )
    _add_import(
        commands.add_parser("import-ohlcv", help="bring files of hourly bars (CSV, Parquet, zip) into a DuckDB table")
    )
    _add_fetch(
        commands.add_parser("fetch", help="bring a market's OHLCV up to date from its exchange, or from its folder")
    )
    _add_export(
        commands.add_parser("export", help="stored rows of a feature key into Parquet, one file or one a month")
    )
    _add_view(commands.add_parser("view", help="a SQL view of a feature key, one column a feature"))
    _add_check(commands.add_parser("check", help="run the checks of a market and a feature key; writes nothing"))
    _add_check_features(
        commands.add_parser("check-features", help="try features of your own: do they do what they declare?")
    )
    _add_report(commands.add_parser("report", help="a feature set as one HTML file: candles, coverage, drift, checks"))
    _add_check_config(
        commands.add_parser("check-config", help="read every market YAML, and say which of them are broken and why")
    )
    _add_keys(commands.add_parser("keys", help="the feature keys of a database, and what a row of each is"))
    _add_forget_ohlcv(commands.add_parser("forget-ohlcv", help="after OHLCV was moved or renamed"))
    _add_retire_key(commands.add_parser("retire-key", help="start a feature key anew; its rows stay readable"))
    _add_prune(commands.add_parser("prune", help="forget rows that were replaced long ago"))
    _add_convert(commands.add_parser("convert", help="rewrite a DuckDB file so that it takes an eighth of the space"))
    _add_repair(commands.add_parser("repair", help="make what Dagster shows agree with the tables; safe at any time"))
    _add_compact_records(
        commands.add_parser("compact-records", help="have Dagster's records of earlier versions take less space")
    )
    _add_demo(commands.add_parser("demo", help="a synthetic market, end to end"))
    add_looking_commands(commands)
    return root


def _add_databases(command: argparse.ArgumentParser) -> None:
    where = command.add_argument_group("where", "Without --duckdb the market comes from the YAML files of configs/.")
    where.add_argument("--market", help="market of configs/, if several have the feature key")
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


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("--feature-key", required=True, help="key under which the rows are stored")
    _add_databases(command)
    _add_feature_set(command)
    hours = command.add_argument_group(
        "which hours", "Times are UTC unless they carry an offset; ranges include both ends."
    )
    modes = ("window", "last_from_features", "ts_list")
    hours.add_argument("--mode", choices=modes, default="window", help="window if not given")
    hours.add_argument("--start", help="first hour; without it the last 49 hours")
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


def _add_recompute_stale(command: argparse.ArgumentParser) -> None:
    command.add_argument("--feature-key", required=True, help="key of the rows")
    _add_databases(command)
    _add_feature_set(command)
    command.add_argument("--dry-run", action="store_true", help="say which hours are stale, write nothing")


def _add_selftest(command: argparse.ArgumentParser) -> None:
    _add_databases(command)
    _add_feature_set(command)
    command.add_argument("--compare-key", required=True, help="key whose stored rows are compared with")
    command.add_argument("--feature-key", default="selftest", help="key of the test rows, which are kept nowhere")
    command.add_argument("--start", help="first hour; without it 24 hours before the end")
    command.add_argument("--end", help="last hour; without it the last one stored under --compare-key")


def _add_import(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="CSV or Parquet: timestamp, open, high, low, close, volume; or an exchange's klines, also packed",
    )
    command.add_argument("--duckdb", type=Path, required=True, help="database of the table; made if missing")
    command.add_argument("--table", required=True, help="table to insert into or update by timestamp; made if missing")


def _add_fetch(command: argparse.ArgumentParser) -> None:
    command.add_argument("market", metavar="MARKET", help="market of configs/ whose source is an exchange or a folder")
    command.add_argument(
        "--since", help="first hour to look at, also for hours that were given up (the market's first hour)"
    )


def _add_export(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file", type=Path, metavar="FILE.parquet|DIR", help="file to write, replaced if there is one; or the folder"
    )
    command.add_argument(
        "--monthly",
        action="store_true",
        help="write DIR/KEY/2025-01.parquet and so on, of whole months, and only those that are new or changed",
    )
    command.add_argument("--feature-key", required=True, help="key of the rows")
    command.add_argument("--feat-duckdb", type=Path, help="database of the features, if not --duckdb")
    command.add_argument("--duckdb", type=Path, help="database of OHLCV and features")
    command.add_argument("--start", help="first hour; without it the first stored")
    command.add_argument("--end", help="last hour; without it the last stored")
    command.add_argument("--as-of", help="export the rows as they stood at this time (UTC), not as they are now")
    names = command.add_mutually_exclusive_group()
    names.add_argument("--columns", nargs="+", metavar="NAME", help="features to export, in this order (all)")
    names.add_argument("--feature-list", type=Path, help="JSON array of the features to export, in this order (all)")
    command.add_argument(
        "--dtype", choices=("float64", "float32"), default="float64", help="type of the values (float64)"
    )


def _add_view(command: argparse.ArgumentParser) -> None:
    command.add_argument("view", metavar="NAME", help="view to create, or to replace")
    command.add_argument("--feature-key", required=True, help="key of the rows")
    command.add_argument("--feat-duckdb", type=Path, help="database of the features, if not --duckdb")
    command.add_argument("--duckdb", type=Path, help="database of OHLCV and features")


def _add_check(command: argparse.ArgumentParser) -> None:
    command.add_argument("--feature-key", required=True, help="key of the rows")
    _add_databases(command)
    _add_feature_set(command)
    command.add_argument("--json", action="store_true", help="print the findings as a JSON list")


def _add_check_features(command: argparse.ArgumentParser) -> None:
    command.add_argument("module", metavar="MODULE", help="module of features, such as my_desk.features")
    command.add_argument("--duckdb", type=Path, help="try them on this database too")
    command.add_argument("--table", help=f"its OHLCV table, {DEFAULT_TABLE} if not given")
    command.add_argument("--column", **_COLUMN)
    command.add_argument("--base-hours", type=int, default=720, help="hours of history a row is computed from (720)")
    command.add_argument(
        "--timeframes", nargs="+", metavar="T", default=["1H", "4H", "12H", "1D"], help="bars (1H 4H 12H 1D)"
    )


def _add_report(command: argparse.ArgumentParser) -> None:
    command.add_argument("market", metavar="MARKET", help="market of configs/")
    command.add_argument("--feature-key", help="key of the rows, if the market has several")
    command.add_argument(
        "--features", nargs="+", default=[], metavar="NAME", help="features to draw under the candles (four)"
    )
    command.add_argument("--days", type=int, default=30, help="how many days of candles (30)")
    command.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE.html", help="file to write (report.html)"
    )


def _add_check_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="folder of the YAMLs (configs/)")


def _add_keys(command: argparse.ArgumentParser) -> None:
    command.add_argument("--feat-duckdb", type=Path, required=True, help="database of the features")
    command.add_argument("--json", action="store_true", help="print a JSON list with an object for each key")


def _add_forget_ohlcv(command: argparse.ArgumentParser) -> None:
    command.add_argument("--feat-duckdb", type=Path, required=True, help="database of the features")


def _add_retire_key(command: argparse.ArgumentParser) -> None:
    command.add_argument("--feature-key", required=True, help="key whose rows are moved to the replaced rows")
    command.add_argument("--feat-duckdb", type=Path, required=True, help="database of the features")


def _add_prune(command: argparse.ArgumentParser) -> None:
    command.add_argument("--before", required=True, help="time (UTC); rows that were replaced earlier are dropped")
    command.add_argument("--feat-duckdb", type=Path, required=True, help="database of the features")
    command.add_argument("--feature-key", help="key of the rows (all)")


def _add_convert(command: argparse.ArgumentParser) -> None:
    command.add_argument("database", type=Path, metavar="FILE.duckdb", help="database to rewrite, in place")
    command.add_argument("--no-backup", action="store_true", help="do not keep the old file as FILE.duckdb.bak")


def _add_repair(command: argparse.ArgumentParser) -> None:
    command.add_argument("--feature-key", help="the market that has this key; without it all of configs/")
    _add_databases(command)
    _add_feature_set(command)
    command.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")


def _add_compact_records(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="say what it would save, write nothing")


def _add_demo(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--folder",
        type=Path,
        help="where its configs/, databases and Dagster's records go (demo/, with --live demo_live/)",
    )
    command.add_argument("--hours", type=int, help="length of the synthetic market (4320)")
    command.add_argument(
        "--live",
        action="store_true",
        help="simulate an exchange that closes an hour every few seconds, and show Dagster fetching it and computing",
    )
    command.add_argument(
        "--live-hours", type=int, metavar="N", help="with --live: end after N hours, not only with Ctrl-C"
    )


def main(arguments: Sequence[str] | None = None, begin: Callable[[], None] | None = None) -> int:
    """Run a command; returns the exit code. Flags without a command, as the script took them, mean `run`.

    begin: called once all is imported, before the command begins.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0].startswith("--") and given[0] != "--help":
        given.insert(0, "run")
    root = parser()
    complete(root)
    options = root.parse_args(given)
    try:
        _require_text(given)
        _require_working_folder()
        command = import_module(f"feature_backfill.commands.{options.command.replace('-', '_')}")
        if begin is not None:
            begin()
        return int(command.execute(options))
    except UserError as error:
        print(f"feature-backfill {options.command}: {error}", file=sys.stderr)
        return BAD_ARGUMENTS
    except RunError as error:
        print(f"feature-backfill {options.command}: failed: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"feature-backfill {options.command}: interrupted; what was stored stays", file=sys.stderr)
        return FAILED


def _require_text(arguments: Sequence[str]) -> None:
    """Raise UserError if an argument has bytes that are not UTF-8: neither DuckDB nor Dagster takes such names."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"the argument {argument!r} is not UTF-8 text; correct or rename it") from error


def _require_working_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UserError("the working folder was deleted; change to another one with cd") from error


def script(begin: Callable[[], None] | None = None) -> NoReturn:
    """Run a command, as main does, and end the process.

    The imported modules are not torn down, which would take half a second. Databases are closed by then, and
    only the output is left to be flushed.
    """
    gc.set_threshold(100_000, 50, 100)  # the imported modules stay: collecting among them costs a second
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no error
    try:
        code = main(begin=begin)
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BrokenPipeError:  # whoever read the output has gone
        code = FAILED
    os._exit(code)


if __name__ == "__main__":
    script()
