"""Multi-timeframe features of hourly OHLCV, computed in bulk and kept current by Dagster."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feature_backfill.engine.catalog import feature_names
    from feature_backfill.engine.compute import FeatureResult, compute_features
    from feature_backfill.labels import forward_returns
    from feature_backfill.store.market_data import read_ohlcv
    from feature_backfill.store.reading import read_features

__all__ = ["FeatureResult", "compute_features", "feature_names", "forward_returns", "read_features", "read_ohlcv"]

_HOMES = {
    "FeatureResult": "feature_backfill.engine.compute",
    "compute_features": "feature_backfill.engine.compute",
    "feature_names": "feature_backfill.engine.catalog",
    "forward_returns": "feature_backfill.labels",
    "read_features": "feature_backfill.store.reading",
    "read_ohlcv": "feature_backfill.store.market_data",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `feature-backfill --help` need not wait for pandas."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
