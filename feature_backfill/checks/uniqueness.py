"""Has an hour several rows?"""

import dagster as dg

from feature_backfill.checks.findings import listed, newest_range, ranges
from feature_backfill.checks.rows import stored_rows
from feature_backfill.config import FeatureSet, Market
from feature_backfill.store.duplicates import duplicate_hours


def uniqueness(market: Market, feature_set: FeatureSet) -> dg.AssetCheckResult:
    """Every hour has one row under the key.

    Of a market with a lake, whose tables have no primary keys. An error: nobody can tell which of the rows is meant.
    The project's own writers wait for each other; rows that others insert need not be unique.
    """
    with stored_rows(market, feature_set) as (connection, hours):
        twice = duplicate_hours(connection, feature_set.key)
    text = f"{len(hours)} hours, "
    if twice.empty:
        text += "each with one row"
    else:
        text += (
            f"{len(twice)} with several rows, the newest {newest_range(twice)}; compute them anew with "
            f"feature-backfill run --feature-key {feature_set.key} --overwrite, which leaves one"
        )
    return dg.AssetCheckResult(
        passed=twice.empty,
        severity=dg.AssetCheckSeverity.ERROR,
        description=text,
        metadata={"hours": len(hours), "hours_with_several_rows": len(twice), **listed("several", ranges(twice))},
    )
