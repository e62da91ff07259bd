"""Was OHLCV corrected under stored rows?"""

import dagster as dg

from feature_backfill.assets.plan import staleness
from feature_backfill.checks.findings import listed, newest_range, ranges
from feature_backfill.checks.stored import stored_rows
from feature_backfill.config import FeatureSet, Market


def corrections(market: Market, feature_set: FeatureSet) -> dg.AssetCheckResult:
    """Every stored row was computed from the hourly rows that OHLCV has now.

    All rows are looked at, by the digests that are stored with them. An error: a row that OHLCV no longer bears out is
    as wrong as one that was miscalculated. Rows that others stored have no digest; of those, parity sees a sample.
    """
    with stored_rows(market, feature_set) as (_, stored):
        pass
    found = staleness(market, feature_set, stored)
    stale, unsound = found.stale, found.plan.skipped
    told = f"{len(stored)} rows"
    if len(stale):
        told += (
            f", {len(stale)} stale, the newest {newest_range(stale)}: OHLCV was corrected after they were stored; "
            f"feature-backfill recompute-stale --feature-key {feature_set.key}"
        )
    if len(unsound):
        told += f"; {len(unsound)} of them rest on rows that are no longer sound and cannot be computed anew"
    return dg.AssetCheckResult(
        passed=stale.empty,
        severity=dg.AssetCheckSeverity.ERROR,
        description=told if len(stale) else f"{told}, none stale",
        metadata={
            "hours_stale": len(stale),
            "hours_no_longer_sound": len(unsound),
            "hours_stored_by_others": len(found.unknown),
            **listed("stale", ranges(stale)),
        },
    )
