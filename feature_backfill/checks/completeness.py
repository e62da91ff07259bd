"""Is every hour stored that can be computed?"""

from collections import Counter

import dagster as dg

from feature_backfill.assets.plan import make_plan
from feature_backfill.assets.standing import ABSENT
from feature_backfill.checks.findings import listed, newest_range, ranges
from feature_backfill.checks.rows import hours_with_rows
from feature_backfill.config import FeatureSet, Market
from feature_backfill.engine.soundness import kind_of
from feature_backfill.hours import hour_range


def completeness(market: Market, feature_set: FeatureSet) -> dg.AssetCheckResult:
    """Between the oldest and the newest stored hour, every hour that can be computed is stored.

    How far back history reaches is the operator's choice, and what the newest hour lacks to now is freshness. A
    warning: a hole can be a choice too, or a backfill on its way, and a row that is not there misleads nobody.
    """
    stored = hours_with_rows(market, feature_set)
    missing = hour_range(stored[0], stored[-1]).difference(stored)
    told = f"{len(stored)} hours stored from {stored[0]} to {stored[-1]}"
    if missing.empty:
        return dg.AssetCheckResult(passed=True, description=f"{told}, none missing", metadata={"hours": len(stored)})
    plan = make_plan(market, feature_set, missing)
    lost = plan.compute
    cannot = Counter(kind_of(reason) for reason in plan.skipped) + Counter({ABSENT: len(plan.absent)})
    told += f"; {len(missing) - len(lost)} cannot be computed"
    if len(lost):
        told += f"; {len(lost)} can be computed and are not stored, the newest {newest_range(lost)}: materialize them"
    return dg.AssetCheckResult(
        passed=lost.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata={
            "hours": len(stored),
            "hours_lost": len(lost),
            "hours_that_cannot_be_computed": dict(cannot),
            **listed("lost", ranges(lost)),
        },
    )
