"""Multi-timeframe features of hourly OHLCV, computed in bulk and kept current by Dagster."""

from feature_backfill.engine.catalog import feature_names
from feature_backfill.engine.compute import FeatureResult, compute_features

__all__ = ["FeatureResult", "compute_features", "feature_names"]
