"""Whether features read the oldest bar of a lookback as they declare: what changes when that bar is changed?"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from feature_backfill.engine.catalog import Catalog
from feature_backfill.engine.timeframes import HOURS_PER_BAR
from feature_backfill.hours import HOUR
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.engine.features import features_of

FIRST = pd.Timestamp("2025-01-01")


@dataclass(frozen=True)
class Scene:
    """A target hour whose lookback keeps `bars` bars of a timeframe, the oldest partial unless it is an hour long."""

    timeframe: str
    bars: int

    @property
    def length(self) -> int:
        """Hours of a bar."""
        return HOURS_PER_BAR[self.timeframe]

    @property
    def newest_label(self) -> pd.Timestamp:
        """A midnight, so that a bar of any timeframe ends there."""
        return FIRST + pd.Timedelta(days=2 + self.bars * self.length // 24)

    @property
    def target(self) -> pd.Timestamp:
        return self.newest_label + self.length // 2 * HOUR

    @property
    def first_hour(self) -> pd.Timestamp:
        """The lookback's first hour."""
        return self.target - (self.bars * self.length - 1) * HOUR

    @property
    def oldest_label(self) -> pd.Timestamp:
        """The last hour of the lookback's oldest bar."""
        return self.newest_label - (self.bars - 1) * self.length * HOUR

    def market(self) -> pd.DataFrame:
        hours = int((self.target - FIRST) / HOUR) + 1
        return synthetic_ohlcv(FIRST, hours, seed=self.bars).set_index("timestamp")

    def values(self, market: pd.DataFrame, catalog: Catalog) -> pd.Series:
        """The features of the target hour, by name without the timeframe."""
        features = features_of(catalog, market.reset_index(), [self.target], self.bars * self.length, self.timeframe)
        return features.iloc[0].set_axis([feature.name for feature in catalog.features])


def wrong_declarations(catalog: Catalog, timeframe: str, lookbacks: Iterable[int]) -> list[str]:
    """In words, where features of lookbacks of so many bars do not read the oldest bar as declared."""
    return [wrong for bars in lookbacks for wrong in _wrong(catalog, Scene(timeframe, bars))]


def _wrong(catalog: Catalog, scene: Scene) -> Iterator[str]:
    market = scene.market()
    values = scene.values(market, catalog)

    def change(changed_market: pd.DataFrame) -> pd.Series:
        changed = scene.values(changed_market, catalog)
        return (changed != values) & ~(changed.isna() & values.isna())

    oldest_bar = slice(scene.first_hour, scene.oldest_label)
    read = pd.concat([change(other(market, oldest_bar)) for other in (_raised, _lowered, _flattened)], axis=1).any(
        axis=1
    )
    astray = change(_doubled(market, slice(None, scene.first_hour - HOUR)))
    for group in catalog.groups:
        for feature in group.features:
            declared = feature.min_bars <= scene.bars and group.reads_oldest_bar(scene.bars)
            where = f"{group.label}, {feature.name} of {scene.bars} {scene.timeframe} bars:"
            if astray[feature.name]:
                yield f"{where} reads hours before the lookback"
            if read[feature.name] and not declared:
                yield f"{where} reads the oldest bar, which is not declared"
            if declared and not read[feature.name]:
                yield f"{where} does not read the oldest bar, though it is declared"


def _raised(market: pd.DataFrame, hours: slice) -> pd.DataFrame:
    """Open and high above all others in these hours, and more volume; the closes stay."""
    changed = market.copy()
    changed.loc[hours, ["open", "high"]] = 4 * market["high"].max()
    changed.loc[hours, "volume"] *= 7
    return changed


def _lowered(market: pd.DataFrame, hours: slice) -> pd.DataFrame:
    """Open and low below all others in these hours, and no volume; the closes stay."""
    changed = market.copy()
    changed.loc[hours, ["open", "low"]] = market["low"].min() / 4
    changed.loc[hours, "volume"] = 0.0
    return changed


def _flattened(market: pd.DataFrame, hours: slice) -> pd.DataFrame:
    """No range in these hours; the closes stay."""
    changed = market.copy()
    for column in ("open", "high", "low"):
        changed.loc[hours, column] = market.loc[hours, "close"]
    return changed


def _doubled(market: pd.DataFrame, hours: slice) -> pd.DataFrame:
    changed = market.copy()
    changed.loc[hours] *= 2
    return changed
