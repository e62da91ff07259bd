"""How a feature set stands: how current it is, how many of its hours are missing, and why."""

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from feature_backfill.assets.plan import make_plan
from feature_backfill.config import FeatureSet, Market
from feature_backfill.engine.soundness import kind_of
from feature_backfill.hours import HOUR, hour_range, last_closed_hour
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours
from feature_backfill.store.ohlcv import ohlcv_extent

COMPUTABLE, ABSENT = "can be computed", "no row in OHLCV"


@dataclass(frozen=True)
class Standing:
    """newest, oldest: stored hours; ohlcv_ends: the last closed hour of OHLCV; missing: number of hours from the oldest
    stored one on that have no row, by reason."""

    oldest: pd.Timestamp
    newest: pd.Timestamp
    ohlcv_ends: pd.Timestamp
    missing: dict[str, int]

    @property
    def hours_behind(self) -> int:
        """Hours from the newest stored one to the end of OHLCV."""
        return max(0, int((self.ohlcv_ends - self.newest) / HOUR))


def standing(market: Market, feature_set: FeatureSet) -> Standing | None:
    """How a feature set stands now; None if nothing is stored or OHLCV has no closed hour. Reads both databases."""
    with connect(market.source.database, read_only=True) as connection:
        extent = ohlcv_extent(connection, market.source.table)
    if extent is None or not market.target_database.exists():
        return None
    with connect(market.target_database, read_only=True) as connection:
        stored = stored_hours(connection, feature_set.key)
    last = min(extent[1], last_closed_hour())
    if stored.empty:
        return None
    missing = hour_range(stored[0], last).difference(stored)
    reasons: Counter[str] = Counter()
    if len(missing):
        plan = make_plan(market, feature_set, missing)
        reasons = Counter(kind_of(reason) for reason in plan.skipped)
        reasons.update({COMPUTABLE: len(plan.compute), ABSENT: len(plan.absent)})
    return Standing(stored[0], stored[-1], last, {reason: count for reason, count in reasons.items() if count})
