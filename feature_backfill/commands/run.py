"""`feature-backfill run`: the hours that the flags mean, through the project's own assets."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from feature_backfill.assets.decisions import plan_of
from feature_backfill.assets.joining import changed_modules
from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.commands.shared.backfill import backfill, summary
from feature_backfill.commands.shared.hours import Selection, select_hours
from feature_backfill.commands.shared.instance import dagster_instance
from feature_backfill.commands.shared.market import market_and_feature_set
from feature_backfill.commands.shared.market_runs import run_markets
from feature_backfill.commands.shared.run_report import run_fields
from feature_backfill.config import FeatureSet, Market
from feature_backfill.planning.plan import Keep, Plan
from feature_backfill.planning.ranges import ranges_of_command
from feature_backfill.planning.wording import dry_run_lines, skip_lines

Say = Callable[[str], None]


def execute(options: argparse.Namespace) -> int:
    """Select, plan, compute what is not stored, and say what happened: in lines of text, or as JSON."""
    markets = options.market or []
    if options.all or len(markets) > 1 or options.feature_key is None:
        return run_markets(options)
    options.market = markets[0] if markets else None
    return _run_feature_set(options)


def _run_feature_set(options: argparse.Namespace) -> int:
    market, feature_set = market_and_feature_set(options, options.feature_key)
    selection = select_hours(options, market, feature_set)
    say: Say = _silent if options.json else print
    if selection.nothing:
        say(f"nothing to do: {selection.nothing}")
        report = run_fields(market, feature_set, selection)
    else:
        report = _planned(options, market, feature_set, selection, say)
    if options.json:
        print(json.dumps(report))
    return 0


def _planned(
    options: argparse.Namespace, market: Market, feature_set: FeatureSet, selection: Selection, say: Say
) -> dict[str, Any]:
    """Plan the selected hours and, unless it is a dry run, carry the plan out; returns what became of them."""
    keep = Keep.NONE if options.overwrite else Keep.ALL
    plan = plan_of(market, feature_set, selection.hours, keep).at_most(options.at_most or 0)
    ranges = ranges_of_command(plan, listed=options.mode == "ts_list")
    for line in changed_modules(market, feature_set):
        print(f"warning: {line}", file=sys.stderr)
    done = None
    if options.dry_run:
        say("\n".join(dry_run_lines(feature_set, selection.wanted, plan, verbose=options.verbose)))
    else:
        if selection.left_out:
            say(f"of {selection.wanted}")
        for line in skip_lines(plan.skipped):
            say(line)
        if ranges:
            with dagster_instance() as instance:
                report_ohlcv(instance, market, plan.present)
                done = backfill(instance, market, feature_set, ranges, keep)
            say(summary(feature_set, plan, done))
            if done.computed:
                say(f"stored in {market.target}, table features")
        else:
            say(f"nothing to compute: all stored, {len(plan.kept)} hours under {feature_set.key}" + _aside(plan))
    return run_fields(market, feature_set, selection, plan, ranges, done)


def _silent(_: str) -> None:
    """In place of print, where the result is printed as JSON."""


def _aside(plan: Plan) -> str:
    return f"; {len(plan.skipped)} cannot be computed" if len(plan.skipped) else ""
