"""`feature-backfill run`: the hours that the flags mean, through the project's own assets."""

import argparse
from dataclasses import replace

import pandas as pd

from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.assets.plan import Plan, make_plan
from feature_backfill.commands.backfill import backfill, ranges_to_run, skip_lines, summary
from feature_backfill.commands.instance import dagster_instance
from feature_backfill.commands.market import market_and_feature_set
from feature_backfill.commands.selection import select_hours
from feature_backfill.config import FeatureSet

SHOWN = 10


def execute(options: argparse.Namespace) -> int:
    """Select, plan, compute what is not stored, and say what happened."""
    market, feature_set = market_and_feature_set(options, options.feature_key)
    selection = select_hours(options, market, feature_set)
    if selection.nothing:
        print(f"nothing to do: {selection.nothing}")
        return 0
    hours = selection.hours
    plan = make_plan(market, feature_set, hours, options.overwrite)
    if options.at_most is not None and 0 < options.at_most < len(plan.compute):
        hours = hours[hours <= plan.compute[options.at_most - 1]]
        plan = _up_to(plan, hours[-1])
    if options.dry_run:
        _print_plan(plan, feature_set, selection.wanted)
        return 0
    _print_skips(plan)
    ranges = ranges_to_run(plan, hours, listed=options.mode == "ts_list")
    if not ranges:
        print(f"nothing to compute: all stored, {len(plan.kept)} hours under {feature_set.key}" + _aside(plan))
        return 0
    with dagster_instance() as instance:
        report_ohlcv(instance, market, hours)
        done = backfill(instance, market, feature_set, ranges, options.overwrite)
    print(summary(feature_set, plan, done))
    print(f"stored in {market.target_database}, table features")
    return 0


def _up_to(plan: Plan, last: pd.Timestamp) -> Plan:
    """The plan without what comes after an hour."""
    return replace(
        plan,
        kept=plan.kept[plan.kept <= last],
        skipped=plan.skipped[plan.skipped.index <= last],
        compute=plan.compute[plan.compute <= last],
    )


def _print_plan(plan: Plan, feature_set: FeatureSet, wanted: str) -> None:
    counts = f"compute {len(plan.compute)} hours, keep {len(plan.kept)}, skip {len(plan.skipped)}"
    print(f"plan for {feature_set.key}, {wanted}: {counts}")
    for hour in plan.compute[:SHOWN]:
        print(f"  {hour}")
    if len(plan.compute) > SHOWN:
        print(f"  ... to {plan.compute[-1]}")
    _print_skips(plan)


def _print_skips(plan: Plan) -> None:
    for line in skip_lines(plan.skipped):
        print(line)


def _aside(plan: Plan) -> str:
    return f"; {len(plan.skipped)} cannot be computed" if len(plan.skipped) else ""
