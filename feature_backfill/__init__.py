"""Multi-timeframe features of hourly OHLCV, computed in bulk and kept current by Dagster.

What a program needs: compute_features, feature_names, read_features, Lake, read_ohlcv, forward_returns. What a module
with features of one's own needs: Feature, computes, ALL_BARS, Windows, OhlcvWindows, Lookbacks, and the helpers ratio,
shared and exponential_weights; Column, to compute them from a frame.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feature_backfill.config.lake import Lake
    from feature_backfill.engine.bars import Floats
    from feature_backfill.engine.catalog import feature_names
    from feature_backfill.engine.columns import Column
    from feature_backfill.engine.compute import FeatureResult, compute_features
    from feature_backfill.engine.feature import ALL_BARS, Feature, computes
    from feature_backfill.engine.lookbacks import Lookbacks
    from feature_backfill.engine.windows import OhlcvWindows, Windows, exponential_weights, ratio, shared
    from feature_backfill.labels import forward_returns
    from feature_backfill.store.market_data import read_ohlcv
    from feature_backfill.store.reading import read_features

__all__ = [
    "ALL_BARS",
    "Column",
    "Feature",
    "FeatureResult",
    "Floats",
    "Lake",
    "Lookbacks",
    "OhlcvWindows",
    "Windows",
    "compute_features",
    "computes",
    "exponential_weights",
    "feature_names",
    "forward_returns",
    "ratio",
    "read_features",
    "read_ohlcv",
    "shared",
]

_HOMES = {
    "ALL_BARS": "feature_backfill.engine.feature",
    "Column": "feature_backfill.engine.columns",
    "Feature": "feature_backfill.engine.feature",
    "FeatureResult": "feature_backfill.engine.compute",
    "Floats": "feature_backfill.engine.bars",
    "Lake": "feature_backfill.config.lake",
    "Lookbacks": "feature_backfill.engine.lookbacks",
    "OhlcvWindows": "feature_backfill.engine.windows",
    "Windows": "feature_backfill.engine.windows",
    "compute_features": "feature_backfill.engine.compute",
    "computes": "feature_backfill.engine.feature",
    "exponential_weights": "feature_backfill.engine.windows",
    "feature_names": "feature_backfill.engine.catalog",
    "forward_returns": "feature_backfill.labels",
    "ratio": "feature_backfill.engine.windows",
    "read_features": "feature_backfill.store.reading",
    "read_ohlcv": "feature_backfill.store.market_data",
    "shared": "feature_backfill.engine.windows",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `feature-backfill --help` need not wait for pandas."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
