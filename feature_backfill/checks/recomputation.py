"""The rows of a feature set computed once more, hour by hour, from the OHLCV of today."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from feature_backfill.checks import oracle
from feature_backfill.checks.references import reference_values, rules_of
from feature_backfill.config import FeatureSet, Market
from feature_backfill.engine.bars import HourlyRows, names_of, normalized_ohlcv
from feature_backfill.engine.catalog import BUILT_IN, Catalog
from feature_backfill.engine.columns import Column
from feature_backfill.engine.compute import compute_rows
from feature_backfill.hours import HOUR
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import read_ohlcv


@dataclass(frozen=True)
class Recomputation:
    """The rows of a feature set computed hour by hour. ohlcv: of the lookbacks, in time order."""

    feature_set: FeatureSet
    columns: tuple[Column, ...]
    ohlcv: pd.DataFrame

    @classmethod
    def of(cls, market: Market, feature_set: FeatureSet, first: pd.Timestamp, last: pd.Timestamp) -> "Recomputation":
        """For hours from first to last."""
        columns, start = market.columns_of(feature_set), feature_set.lookback.first_hour(first)
        with connect(market.source.database, read_only=True) as connection:
            ohlcv = read_ohlcv(connection, market.source.table, start, last, columns)
        return cls(feature_set, columns, normalized_ohlcv(ohlcv, columns))

    def bars(self, hour: pd.Timestamp) -> dict[str, oracle.Bars] | oracle.Skip:
        """The bars in the lookback of an hour."""
        return oracle.bars_of_hour(
            oracle.hourly_rows(self._window(hour), names_of(self.columns)),
            hour.to_pydatetime(),
            self.feature_set.base_hours,
            self.feature_set.buffer_hours,
            self.feature_set.timeframes,
            rules_of(self.columns),
        )

    def values(self, hour: pd.Timestamp, bars: Mapping[str, oracle.Bars]) -> dict[str, float]:
        """Every feature of an hour, by name."""
        known = {**oracle.features_of_bars(bars), **reference_values(self.feature_set.catalog, bars)}
        if self._alone.features:
            rows, hours = HourlyRows.of(self._window(hour), self.columns), pd.DatetimeIndex([hour])
            lookback, timeframes = self.feature_set.lookback, self.feature_set.timeframes
            result = compute_rows(rows, hours, lookback, timeframes, {}, self._alone)
            known.update(zip(result.features.columns, result.features.iloc[0], strict=True))
        return known

    @property
    def by_way(self) -> dict[str, int]:
        """How many of the stored features are recomputed in which way."""
        alone = set(self._alone.names(self.feature_set.timeframes))
        built_in = set(BUILT_IN.names(self.feature_set.timeframes))
        ways = Counter(
            "oracle" if name in built_in else "single hour" if name in alone else "reference"
            for name in self.feature_set.names
        )
        return dict(ways)

    @cached_property
    def _alone(self) -> Catalog:
        """The features that nothing but their own function can compute."""
        own = self.feature_set.catalog.own.groups
        return Catalog.of_groups([group for group in own if group.reference is None])

    def _window(self, hour: pd.Timestamp) -> pd.DataFrame:
        start = self.feature_set.lookback.first_hour(hour)
        return self.ohlcv.iloc[slice(*self.ohlcv["timestamp"].searchsorted([start, hour + HOUR]))]
