"""Multi-timeframe features of hourly OHLCV, computed in bulk and kept current by Dagster."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feature_backfill.engine.catalog import feature_names
    from feature_backfill.engine.compute import FeatureResult, compute_features
    from feature_backfill.store.feature_reading import read_features

__all__ = ["FeatureResult", "compute_features", "feature_names", "read_features"]

_HOMES = {
    "FeatureResult": "feature_backfill.engine.compute",
    "compute_features": "feature_backfill.engine.compute",
    "feature_names": "feature_backfill.engine.catalog",
    "read_features": "feature_backfill.store.feature_reading",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `feature-backfill --help` need not wait for pandas."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
