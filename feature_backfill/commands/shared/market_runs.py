"""`feature-backfill run` of many markets: which they are, and what became of them."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from feature_backfill.automation.history import followed
from feature_backfill.commands.shared.history_elsewhere import fill_elsewhere
from feature_backfill.commands.shared.hours import parsed_hour
from feature_backfill.commands.shared.instance import dagster_instance
from feature_backfill.commands.shared.market import market_named
from feature_backfill.commands.shared.market_pool import in_processes, progress_of
from feature_backfill.commands.shared.market_worker import Outcome, Task
from feature_backfill.commands.shared.tables import Column, console, print_rows
from feature_backfill.config import Market, Markets, read_markets
from feature_backfill.dagster_internals.launched import launches_elsewhere
from feature_backfill.dagster_internals.orphans import end_orphans
from feature_backfill.errors import DONE, FAILED, UserError
from feature_backfill.hours import last_closed_hour
from feature_backfill.planning.plan import Keep
from feature_backfill.planning.reach import resolved_range

OF_ONE_FEATURE_SET = (
    "feature_key", "duckdb", "feat_duckdb", "table", "base_hours", "buffer_hours", "timeframes", "feature_list",
    "feature_modules", "column", "missing", "ts", "ts_file", "verbose",
)  # fmt: skip
"""Flags that mean nothing where the YAML files describe each of many feature sets."""

OF_THIS_MACHINE = ("start", "end", "at_most", "overwrite")
"""Flags of runs that are not requested by the sensor."""


def run_markets(options: argparse.Namespace) -> int:
    """Fill the history of markets of configs/, all their feature sets, and print a summary. A dry run only plans.

    Raises UserError if a flag does not go with many markets, or a market is not there.
    """
    _refuse_flags(options)
    markets = read_markets()
    asked = _asked(options, markets)
    start, end = parsed_hour("--start", options.start), parsed_hour("--end", options.end)
    if start is not None:
        resolved_range(start, end, last_closed_hour())
    task = Task(
        start=start,
        end=end,
        keep=Keep.NONE if options.overwrite else Keep.ALL,
        at_most=options.at_most or 0,
        dry_run=options.dry_run,
    )
    broken = markets.errors if options.all else []
    started = time.perf_counter()
    outcomes = in_processes(asked, task) if task.dry_run else _filled(options, asked, task)
    seconds = time.perf_counter() - started
    if options.json:
        print(json.dumps({"seconds": round(seconds, 3), "markets": list(map(asdict, outcomes)), "broken": broken}))
    else:
        _print_summary(outcomes, task, seconds)
    for error in [*(f"{each.market}: {each.error}" for each in outcomes if each.error), *broken]:
        print(error, file=sys.stderr)
    return FAILED if broken or any(each.error for each in outcomes) else DONE


def _filled(options: argparse.Namespace, markets: Sequence[Market], task: Task) -> list[Outcome]:
    """Fill the markets on this machine or, if the instance launches its runs elsewhere, there."""
    with dagster_instance() as instance:
        end_orphans(instance)
        if launches_elsewhere(instance):
            given = [f"--{flag.replace('_', '-')}" for flag in OF_THIS_MACHINE if getattr(options, flag)]
            if given:
                raise UserError(
                    f"{', '.join(given)}: the runs of this Dagster are executed on other machines, where the sensor "
                    "requests all history; leave it out, or launch a backfill of the job of the feature set"
                )
            if options.all:
                markets = _seen_to(markets)
            with progress_of(len(markets)) as bar:
                return fill_elsewhere(instance, markets, bar)
    return in_processes(markets, task)


def _seen_to(markets: Sequence[Market]) -> Sequence[Market]:
    """The markets of which the sensor requests hours. Says which it leaves alone."""
    left = [each.key for market in markets for each in market.feature_sets if each not in market.automatic_sets]
    if left:
        print(f"left out, as the YAML says automatic: false: {', '.join(left)}", file=sys.stderr)
    return followed(markets)


def _refuse_flags(options: argparse.Namespace) -> None:
    if not options.all and not options.market:
        raise UserError("say what to compute: --feature-key KEY, --market MARKET ... or --all")
    if options.all and options.market:
        raise UserError("--all means every market of configs/; leave out --market, or --all")
    given = [f"--{flag.replace('_', '-')}" for flag in OF_ONE_FEATURE_SET if getattr(options, flag)]
    if options.mode != "window":
        given.append(f"--mode {options.mode}")
    if given:
        raise UserError(
            f"{', '.join(given)} goes with one feature set: the YAML files of configs/ say what is computed for many "
            "markets; leave it out, or name one --market and one --feature-key"
        )


def _asked(options: argparse.Namespace, markets: Markets) -> Sequence[Market]:
    """The markets to fill, those of a broken file left out if all are asked for, and those without a feature set."""
    if not options.all:
        asked = [market_named(markets, name) for name in dict.fromkeys(options.market)]
    elif markets.valid:
        asked = list(markets.valid)
    else:
        remedy = "; ".join(markets.errors) or "go to the folder that holds configs/"
        raise UserError(f"no market that could run in {markets.folder}: {remedy}")
    for market in asked:
        if not market.feature_sets:
            print(f"{market.name} has no feature set", file=sys.stderr)
    return [market for market in asked if market.feature_sets]


def _print_summary(outcomes: Sequence[Outcome], task: Task, seconds: float) -> None:
    done = "to compute" if task.dry_run else "computed"
    numbers = [Column(title, right=True) for title in ("kept", "cannot be computed", "no row in OHLCV", "seconds")]
    columns = (Column("market"), Column("feature key"), Column(done, right=True, text=True), *numbers)
    rows = []
    for outcome in outcomes:
        seconds_of = [f"{outcome.seconds:.1f}", *("" for _ in outcome.feature_sets)]
        rows += [
            [Text(outcome.market), *_cells(fields, task), Text(of_market)]
            for fields, of_market in zip(outcome.feature_sets, seconds_of, strict=False)
        ]
        if outcome.error:
            rows.append([Text(outcome.market), Text("failed, see below", "bold red")])
    out = console()
    print_rows(out, columns, rows, once=1)
    every = [fields for outcome in outcomes for fields in outcome.feature_sets]
    made = sum(_rows(fields, task) for fields in every)
    rate = f", {made / seconds:,.0f} a second with everything recorded" if made and not task.dry_run else ""
    out.print(
        f"{done} {made:,} rows of {len(every)} feature sets of {len(outcomes)} markets in {seconds:.1f} s{rate}",
        highlight=False,
    )


def _rows(fields: dict[str, Any], task: Task) -> int:
    return int(fields["planned" if task.dry_run else "computed"])


def _cells(fields: dict[str, Any], task: Task) -> Iterator[Text]:
    yield Text(fields["feature_key"])
    if fields["nothing"]:
        yield from (Text(fields["nothing"], "yellow"), Text(), Text(), Text())
        return
    yield Text(f"{_rows(fields, task):,}")
    for count in (fields["kept"], sum(fields["skipped"].values()), fields["absent"]):
        yield Text(f"{count:,}")
