"""`feature-backfill fetch`: a market's OHLCV brought up to date from its exchange, or from its folder."""

import argparse
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.commands.shared.hours import parsed_hour
from feature_backfill.commands.shared.instance import dagster_instance
from feature_backfill.commands.shared.market import market_named
from feature_backfill.config import Market, read_markets
from feature_backfill.errors import UserError
from feature_backfill.hours import last_closed_hour
from feature_backfill.sources.registry import bring
from feature_backfill.sources.source import Brought
from feature_backfill.sources.wording import brought_lines


def execute(options: argparse.Namespace) -> int:
    """Fetch, say what came from where, and report the hours to Dagster: also those that came before a failure."""
    market = market_named(read_markets(), options.market)
    since = parsed_hour("--since", options.since)
    closed = last_closed_hour()
    if since is not None and not market.first_hour <= since <= closed:
        raise UserError(f"--since {since} is not within {market.first_hour} .. {closed}, the hours of {market.name}")
    brought = Brought()
    try:
        with _Bar() as bar:
            bring(market, None if since is None else since.ceil("h"), brought=brought, progress=bar.show)
    except BaseException:
        if len(brought.hours):
            _report(market, brought)
        raise
    _report(market, brought)
    return 0


def _report(market: Market, brought: Brought) -> None:
    if len(brought.hours):
        with dagster_instance() as instance:
            report_ohlcv(instance, market, brought.hours, brought)
    print("\n".join(brought_lines(market, brought)))


class _Bar:
    """Bars on standard error while that is a terminal, one for each thing that goes on."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._progress.disable:  # else it may print an empty line
            self._progress.stop()

    def show(self, what: str, done: int, total: int) -> None:
        """Draw how far it is."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what)
        self._progress.update(self._tasks[what], completed=done, total=total)
