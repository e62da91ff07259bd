"""`feature-backfill recompute-stale`: stored rows whose OHLCV was corrected since, computed anew."""

import argparse

from feature_backfill.assets.decisions import staleness_of
from feature_backfill.commands.shared.backfill import backfill
from feature_backfill.commands.shared.instance import dagster_instance
from feature_backfill.commands.shared.market import market_and_feature_set
from feature_backfill.hours import contiguous_runs
from feature_backfill.planning.plan import Keep
from feature_backfill.planning.wording import hours_of_features, skip_lines
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours


def execute(options: argparse.Namespace) -> int:
    """Find the stale hours, say which they are, compute them anew. Raises UserError if nothing is stored."""
    market, feature_set = market_and_feature_set(options, options.feature_key)
    with connect(market.target, read_only=True) as connection:
        stored = stored_hours(connection, feature_set.key, market.first_hour)
    found = staleness_of(market, feature_set, stored)
    print(f"{feature_set.key}: {len(found.stale)} of {len(stored)} stored hours are stale")
    if len(found.other_settings):
        print(
            f"{len(found.other_settings)} hours were stored under other settings of this key (lookback, timeframes or "
            "names) and are left as they are; run --overwrite computes them anew"
        )
    if len(found.unknown):
        print(
            f"{len(found.unknown)} hours carry no digest, for others stored them: whether they are stale is unknown; "
            "run --overwrite gives them one"
        )
    for line in skip_lines(found.unsound):
        print(f"{line}; their rows stay as they are")
    ranges = contiguous_runs(found.renewable)
    for first, last in ranges:
        print(f"{'to compute' if options.dry_run else 'computing'} {first} .. {last}")
    if ranges and not options.dry_run:
        with dagster_instance() as instance:
            done = backfill(instance, market, feature_set, ranges, Keep.CURRENT)
        print(f"computed {hours_of_features(done.computed, feature_set)} anew in {done.seconds:.1f} s")
    return 0
