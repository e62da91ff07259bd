"""The ordered catalogue of features: what is computed on the bars of each timeframe, in order of emission."""

from collections.abc import Iterable

from feature_backfill.engine import (  # noqa: F401  (a family's import declares its features)
    calendar,
    candle,
    channel,
    cycle,
    dependence,
    directional,
    distribution,
    momentum,
    price,
    trend,
    volatility,
    volume,
)
from feature_backfill.engine.feature import GROUPS, Feature
from feature_backfill.engine.timeframes import DEFAULT_TIMEFRAMES, canonical_timeframes

CATALOG: tuple[Feature, ...] = tuple(
    sorted((feature for group in GROUPS for feature in group.features), key=lambda feature: feature.position)
)


def feature_names(timeframes: Iterable[str] = DEFAULT_TIMEFRAMES) -> list[str]:
    """Names in order of emission, `<feature>_<timeframe>`: all of the first timeframe, then all of the second ...

    Raises ValueError for a timeframe that does not divide a day or is given twice.
    """
    return [f"{feature.name}_{timeframe}" for timeframe in canonical_timeframes(timeframes) for feature in CATALOG]


def feature_summaries(timeframes: Iterable[str] = DEFAULT_TIMEFRAMES) -> dict[str, str]:
    """What each of feature_names() is, in one line."""
    return {
        f"{feature.name}_{timeframe}": f"{feature.summary}, on {timeframe} bars"
        for timeframe in canonical_timeframes(timeframes)
        for feature in CATALOG
    }
