"""Is every hour stored that can be computed?"""

import dagster as dg

from feature_backfill.assets.decisions import standing_of
from feature_backfill.checks.findings import listed, newest_range, ranges
from feature_backfill.checks.rows import hours_with_rows
from feature_backfill.config import FeatureSet, Market
from feature_backfill.errors import UserError
from feature_backfill.planning.counting import STORED


def completeness(market: Market, feature_set: FeatureSet) -> dg.AssetCheckResult:
    """Between the oldest and the newest stored hour, every hour that can be computed is stored.

    How far back history reaches is the operator's choice, and what the newest hour lacks to now is freshness. A
    warning: a hole can be a choice too, or a backfill on its way, and a row that is not there misleads nobody.
    """
    hours_with_rows(market, feature_set)
    now = standing_of(market, feature_set)
    if now is None:
        raise UserError(f"{market.source.table} has no closed hour since {market.first_hour}; check what fills it")
    text, lost = str(now.counts), now.lost
    if len(lost):
        text += (
            f"; {len(lost)} of those that can be computed lie between stored hours, the newest {newest_range(lost)}: "
            "materialize them"
        )
    return dg.AssetCheckResult(
        passed=lost.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=text,
        metadata={
            "hours": now.counts.as_dict(),
            "rows_stored": now.counts.states.get(STORED, 0),
            "hours_lost": len(lost),
            **listed("lost", ranges(lost)),
        },
    )
