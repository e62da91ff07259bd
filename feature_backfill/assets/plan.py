"""What a run over hours of a feature set would do: which hours are computed, kept, skipped, and why."""

from dataclasses import dataclass

import pandas as pd

from feature_backfill.config import FeatureSet, Market
from feature_backfill.engine.bars import HourlyRows, normalized_ohlcv
from feature_backfill.engine.fingerprint import window_digests
from feature_backfill.engine.soundness import Lookback, skip_reasons
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, last_closed_hour
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours
from feature_backfill.store.inputs import stored_inputs
from feature_backfill.store.ohlcv import read_ohlcv

ABSENT = "absent: OHLCV has no row of this hour"


@dataclass(frozen=True)
class Plan:
    """The hours asked for, sorted out; every hour is in exactly one of these, all ascending.

    open: not closed yet; absent: OHLCV has no row; kept: stored already; skipped: reason by hour; compute: the rest.
    ohlcv: the hourly rows that the hours to compute rest on; inputs: a digest by hour of those that each rests on.
    """

    open: pd.DatetimeIndex
    absent: pd.DatetimeIndex
    kept: pd.DatetimeIndex
    skipped: pd.Series
    compute: pd.DatetimeIndex
    ohlcv: pd.DataFrame
    inputs: pd.Series

    @property
    def unstored(self) -> pd.DatetimeIndex:
        """Hours that OHLCV has and that are not kept, whether they can be computed or not."""
        return self.compute.union(pd.DatetimeIndex(self.skipped.index))


def make_plan(
    market: Market, feature_set: FeatureSet, hours: pd.DatetimeIndex, overwrite: bool = False, stale: bool = False
) -> Plan:
    """Sort out hours (UTC-naive, distinct, ascending, at least one). Reads both databases, writes neither.

    overwrite: keep no stored hour; stale: keep none that was computed from other hourly rows than OHLCV has now.
    """
    closed = hours[hours <= last_closed_hour()]
    first_needed = hours[0] - (feature_set.lookback_hours - 1) * HOUR
    with connect(market.source.database, read_only=True) as connection:
        ohlcv = normalized_ohlcv(read_ohlcv(connection, market.source.table, first_needed, hours[-1]))
    present = closed[closed.isin(ohlcv["timestamp"])]
    rows = HourlyRows.of(ohlcv)
    kept = present[:0] if overwrite else present[present.isin(_stored(market, feature_set, hours))]
    if stale:
        kept = kept.difference(_stale(market, feature_set, kept, rows))
    wanted = present.difference(kept)
    skipped = skip_reasons(wanted, rows, _lookback(feature_set), feature_set.timeframes)
    compute = wanted.difference(pd.DatetimeIndex(skipped.index))
    return Plan(
        open=hours.difference(closed),
        absent=closed.difference(present),
        kept=kept,
        skipped=skipped,
        compute=compute,
        ohlcv=ohlcv,
        inputs=pd.Series(window_digests(rows, compute, feature_set.lookback_hours), index=compute),
    )


@dataclass(frozen=True)
class Staleness:
    """What of some stored hours was computed from other hourly rows than OHLCV has now.

    renewable: stale hours that can be computed anew; unsound: reason by stale hour that cannot. Of the others nothing
    can be said: other_settings: hours stored when the feature key had another lookback, other timeframes or names;
    unknown: hours that somebody else wrote, so that nothing tells what they were computed from.
    """

    renewable: pd.DatetimeIndex
    unsound: pd.Series
    other_settings: pd.DatetimeIndex
    unknown: pd.DatetimeIndex

    @property
    def stale(self) -> pd.DatetimeIndex:
        """The stale hours, ascending, whether they can be computed anew or not."""
        return self.renewable.union(pd.DatetimeIndex(self.unsound.index))


def staleness(market: Market, feature_set: FeatureSet, stored: pd.DatetimeIndex) -> Staleness:
    """What is stale of stored hours. Raises UserError if there is none since the market's first hour."""
    stored = stored[stored >= market.first_hour]
    if stored.empty:
        raise UserError(
            f"nothing is stored under {feature_set.key} in {market.target_database} since {market.first_hour}"
        )
    settings = _stored_inputs(market, feature_set, stored)["settings"]
    hours = pd.DatetimeIndex(settings.index)
    plan = make_plan(market, feature_set, stored, stale=True)
    gone = hours[(settings == feature_set.settings).to_numpy()].intersection(plan.absent)
    return Staleness(
        renewable=plan.compute,
        unsound=pd.concat([plan.skipped, pd.Series(ABSENT, gone)]).sort_index(),
        other_settings=hours[(settings != feature_set.settings).to_numpy()],
        unknown=stored.difference(hours),
    )


def _lookback(feature_set: FeatureSet) -> Lookback:
    return Lookback(feature_set.base_hours, feature_set.buffer_hours)


def _stored(market: Market, feature_set: FeatureSet, hours: pd.DatetimeIndex) -> pd.DatetimeIndex:
    if not market.target_database.exists():
        return hours[:0]
    with connect(market.target_database, read_only=True) as connection:
        return stored_hours(connection, feature_set.key, hours[0], hours[-1])


def _stale(market: Market, feature_set: FeatureSet, stored: pd.DatetimeIndex, rows: HourlyRows) -> pd.DatetimeIndex:
    """The stored hours whose digest is known and another one now, or whose hourly rows are no longer sound."""
    if stored.empty:
        return stored
    inputs = _stored_inputs(market, feature_set, stored)
    inputs = inputs[inputs["settings"] == feature_set.settings]
    hours = pd.DatetimeIndex(inputs.index)
    changed = inputs["digest"].to_numpy() != window_digests(rows, hours, feature_set.lookback_hours)
    unsound = skip_reasons(hours, rows, _lookback(feature_set), feature_set.timeframes).index
    return hours[changed | hours.isin(unsound)]


def _stored_inputs(market: Market, feature_set: FeatureSet, stored: pd.DatetimeIndex) -> pd.DataFrame:
    """The digests and settings of those of the stored hours that have them."""
    with connect(market.target_database, read_only=True) as connection:
        inputs = stored_inputs(connection, feature_set.key, stored[0], stored[-1])
    return inputs[inputs.index.isin(stored)]
