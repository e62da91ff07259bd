"""`feature-backfill run`: the hours that the flags mean, through the project's own assets."""

import argparse

from feature_backfill.assets.decisions import plan_of
from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.commands.shared.backfill import backfill, summary
from feature_backfill.commands.shared.hours import select_hours
from feature_backfill.commands.shared.instance import dagster_instance
from feature_backfill.commands.shared.market import market_and_feature_set
from feature_backfill.planning.plan import Keep, Plan
from feature_backfill.planning.ranges import ranges_of_command
from feature_backfill.planning.wording import dry_run_lines, skip_lines


def execute(options: argparse.Namespace) -> int:
    """Select, plan, compute what is not stored, and say what happened."""
    market, feature_set = market_and_feature_set(options, options.feature_key)
    selection = select_hours(options, market, feature_set)
    if selection.nothing:
        print(f"nothing to do: {selection.nothing}")
        return 0
    keep = Keep.NONE if options.overwrite else Keep.ALL
    plan = plan_of(market, feature_set, selection.hours, keep).at_most(options.at_most or 0)
    if options.dry_run:
        print("\n".join(dry_run_lines(feature_set, selection.wanted, plan, verbose=options.verbose)))
        return 0
    for line in skip_lines(plan.skipped):
        print(line)
    ranges = ranges_of_command(plan, listed=options.mode == "ts_list")
    if not ranges:
        print(f"nothing to compute: all stored, {len(plan.kept)} hours under {feature_set.key}" + _aside(plan))
        return 0
    with dagster_instance() as instance:
        report_ohlcv(instance, market, plan.present)
        done = backfill(instance, market, feature_set, ranges, keep)
    print(summary(feature_set, plan, done))
    if done.computed:
        print(f"stored in {market.target_database}, table features")
    return 0


def _aside(plan: Plan) -> str:
    return f"; {len(plan.skipped)} cannot be computed" if len(plan.skipped) else ""
