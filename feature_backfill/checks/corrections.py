"""Was OHLCV corrected under stored rows?"""

import dagster as dg

from feature_backfill.assets.decisions import staleness_of
from feature_backfill.checks.findings import listed, newest_range, ranges
from feature_backfill.checks.rows import hours_with_rows
from feature_backfill.config import FeatureSet, Market
from feature_backfill.store.database import connect
from feature_backfill.store.replaced import count_replaced


def corrections(market: Market, feature_set: FeatureSet) -> dg.AssetCheckResult:
    """Every stored row was computed from the hourly rows that OHLCV has now, under the settings that its key has now.

    All rows are looked at, by the digests that are stored with them. An error: a row that OHLCV no longer bears out is
    as wrong as one that was miscalculated. Rows that others stored have no digest; of those, parity sees a sample.
    """
    stored = hours_with_rows(market, feature_set)
    found = staleness_of(market, feature_set, stored)
    with connect(market.target, read_only=True) as connection:
        replaced = count_replaced(connection, feature_set.key)
    stale, other = found.stale, found.other_settings
    text = f"{len(stored)} rows, {len(stale) or 'none'} stale"
    if len(stale):
        text += f", the newest {newest_range(stale)}: OHLCV was changed after they were stored"
    if len(found.unsound):
        some = "they" if len(found.unsound) == len(stale) else f"{len(found.unsound)} of them"
        text += f"; {some} rest on OHLCV rows that are gone or bad now: correct those first"
    if len(stale) > len(found.unsound):
        text += f"; feature-backfill recompute-stale --feature-key {feature_set.key}"
    text += f"; {replaced} rows were ever replaced" if replaced else ""
    if len(other):
        text += f"; {len(other)} rows, the newest {newest_range(other)}, were stored under other settings of this key"
    return dg.AssetCheckResult(
        passed=stale.empty and other.empty,
        severity=dg.AssetCheckSeverity.ERROR,
        description=text,
        metadata={
            "hours_stale": len(stale),
            "hours_no_longer_sound": len(found.unsound),
            "hours_of_other_settings": len(other),
            "hours_stored_by_others": len(found.unknown),
            "rows_ever_replaced": replaced,
            **listed("stale", ranges(stale)),
            **listed("of_other_settings", ranges(other)),
        },
    )
