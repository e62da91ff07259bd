"""Is every hour stored that can be computed?"""

import dagster as dg

from feature_backfill.assets.decisions import plan_of
from feature_backfill.checks.findings import listed, newest_range, ranges
from feature_backfill.checks.rows import hours_with_rows
from feature_backfill.config import FeatureSet, Market
from feature_backfill.planning.standing import impossible_by_kind, missing_hours


def completeness(market: Market, feature_set: FeatureSet) -> dg.AssetCheckResult:
    """Between the oldest and the newest stored hour, every hour that can be computed is stored.

    How far back history reaches is the operator's choice, and what the newest hour lacks to now is freshness. A
    warning: a hole can be a choice too, or a backfill on its way, and a row that is not there misleads nobody.
    """
    stored = hours_with_rows(market, feature_set)
    missing = missing_hours(stored, stored[-1])
    text = f"{len(stored)} hours stored from {stored[0]} to {stored[-1]}"
    if missing.empty:
        return dg.AssetCheckResult(passed=True, description=f"{text}, none missing", metadata={"hours": len(stored)})
    plan = plan_of(market, feature_set, missing)
    lost = plan.compute
    text += f"; {len(missing) - len(lost)} cannot be computed"
    if len(lost):
        text += f"; {len(lost)} can be computed and are not stored, the newest {newest_range(lost)}: materialize them"
    return dg.AssetCheckResult(
        passed=lost.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=text,
        metadata={
            "hours": len(stored),
            "hours_lost": len(lost),
            "hours_that_cannot_be_computed": impossible_by_kind(plan),
            **listed("lost", ranges(lost)),
        },
    )
