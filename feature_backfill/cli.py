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

from feature_backfill.commands.arguments import feature_sets, stored_rows
from feature_backfill.commands.arguments.completion import complete, completed, feature_keys, market_names
from feature_backfill.commands.arguments.looking import add_looking_commands
from feature_backfill.errors import BAD_ARGUMENTS, FAILED, RunError, UserError


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
    feature_sets.add_run(
        commands.add_parser("run", help="compute the features of a window, of what is new, or of a list of hours")
    )
    feature_sets.add_recompute_stale(
        commands.add_parser("recompute-stale", help="compute rows anew whose OHLCV was corrected since")
    )
    feature_sets.add_selftest(
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
    stored_rows.add_export(
        commands.add_parser("export", help="stored rows of a feature key into Parquet, one file or one a month")
    )
    stored_rows.add_view(commands.add_parser("view", help="a SQL view of a feature key, one column a feature"))
    feature_sets.add_check(
        commands.add_parser("check", help="run the checks of a market and a feature key; writes nothing")
    )
    feature_sets.add_check_features(
        commands.add_parser("check-features", help="try features of your own: do they do what they declare?")
    )
    _add_report(commands.add_parser("report", help="a feature set as one HTML file: candles, coverage, drift, checks"))
    _add_check_config(
        commands.add_parser("check-config", help="read every market YAML, and say which of them are broken and why")
    )
    stored_rows.add_keys(commands.add_parser("keys", help="the feature keys of a database, and what a row of each is"))
    stored_rows.add_forget_ohlcv(commands.add_parser("forget-ohlcv", help="after OHLCV was moved or renamed"))
    stored_rows.add_retire_key(
        commands.add_parser("retire-key", help="start a feature key anew; its rows stay readable")
    )
    stored_rows.add_prune(commands.add_parser("prune", help="forget rows that were replaced long ago"))
    stored_rows.add_convert(
        commands.add_parser("convert", help="rewrite a DuckDB file so that it takes an eighth of the space")
    )
    stored_rows.add_maintain(
        commands.add_parser("maintain", help="merge the small files of a market's lake, expire its old snapshots")
    )
    feature_sets.add_repair(
        commands.add_parser("repair", help="make what Dagster shows agree with the tables; safe at any time")
    )
    _add_compact_records(
        commands.add_parser("compact-records", help="have Dagster's records of earlier versions take less space")
    )
    _add_demo(commands.add_parser("demo", help="a synthetic market, end to end"))
    add_looking_commands(commands)
    for command in commands.choices.values():
        command.set_defaults(parser=command)
    return root


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
    completed(
        command.add_argument(
            "market", metavar="MARKET", help="market of configs/ whose source is an exchange or a folder"
        ),
        market_names,
    )
    command.add_argument(
        "--since", help="first hour to look at, also for hours that were given up (the market's first hour)"
    )


def _add_report(command: argparse.ArgumentParser) -> None:
    completed(command.add_argument("market", metavar="MARKET", help="market of configs/"), market_names)
    completed(command.add_argument("--feature-key", help="key of the rows, if the market has several"), feature_keys)
    command.add_argument(
        "--features",
        nargs="+",
        default=[],
        metavar="NAME",
        help="features to draw under the candles, also as 'close_rsi_*' (four)",
    )
    command.add_argument("--days", type=int, default=30, help="how many days of candles (30)")
    command.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE.html", help="file to write (report.html)"
    )


def _add_check_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="folder of the YAMLs (configs/)")


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
    options, unknown = root.parse_known_args(given)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
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
