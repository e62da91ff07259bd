"""What a run over hours of a feature set would do: which hours are computed, kept, skipped, and why."""

from dataclasses import dataclass

import pandas as pd

from feature_backfill.config import FeatureSet, Market
from feature_backfill.engine.bars import HourlyRows, normalized_ohlcv
from feature_backfill.engine.soundness import Lookback, skip_reasons
from feature_backfill.hours import HOUR, last_closed_hour
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours
from feature_backfill.store.ohlcv import read_ohlcv


@dataclass(frozen=True)
class Plan:
    """The hours asked for, sorted out; every hour is in exactly one of these, all ascending.

    open: not closed yet; absent: OHLCV has no row; kept: stored already; skipped: reason by hour; compute: the rest.
    ohlcv: the hourly rows that the hours to compute rest on.
    """

    open: pd.DatetimeIndex
    absent: pd.DatetimeIndex
    kept: pd.DatetimeIndex
    skipped: pd.Series
    compute: pd.DatetimeIndex
    ohlcv: pd.DataFrame

    @property
    def unstored(self) -> pd.DatetimeIndex:
        """Hours that OHLCV has and features lack, whether they can be computed or not."""
        return self.compute.union(pd.DatetimeIndex(self.skipped.index))


def make_plan(market: Market, feature_set: FeatureSet, hours: pd.DatetimeIndex, overwrite: bool = False) -> Plan:
    """Sort out hours (UTC-naive, distinct, ascending, at least one). Reads both databases, writes neither."""
    closed = hours[hours <= last_closed_hour()]
    first_needed = hours[0] - (feature_set.lookback_hours - 1) * HOUR
    with connect(market.source.database, read_only=True) as connection:
        ohlcv = normalized_ohlcv(read_ohlcv(connection, market.source.table, first_needed, hours[-1]))
    present = closed[closed.isin(ohlcv["timestamp"])]
    kept = present[:0] if overwrite else present[present.isin(_stored(market, feature_set, hours))]
    wanted = present.difference(kept)
    lookback = Lookback(feature_set.base_hours, feature_set.buffer_hours)
    skipped = skip_reasons(wanted, HourlyRows.of(ohlcv), lookback, feature_set.timeframes)
    return Plan(
        open=hours.difference(closed),
        absent=closed.difference(present),
        kept=kept,
        skipped=skipped,
        compute=wanted.difference(pd.DatetimeIndex(skipped.index)),
        ohlcv=ohlcv,
    )


def _stored(market: Market, feature_set: FeatureSet, hours: pd.DatetimeIndex) -> pd.DatetimeIndex:
    if not market.target_database.exists():
        return hours[:0]
    with connect(market.target_database, read_only=True) as connection:
        return stored_hours(connection, feature_set.key, hours[0], hours[-1])
