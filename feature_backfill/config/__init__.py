"""The YAML files of configs/: one market each, with its OHLCV, its database and its feature sets."""

from feature_backfill.config.feature_list import read_feature_list
from feature_backfill.config.files import CONFIGS_VARIABLE, configs_folder, load_market, load_markets, market_from
from feature_backfill.config.schema import (
    LONGEST_LOOKBACK_HOURS,
    OTHER_JOBS,
    ExchangeSource,
    FeatureSet,
    HourlySchedule,
    Market,
    OhlcvSource,
    asset_slug,
)

__all__ = [
    "CONFIGS_VARIABLE",
    "LONGEST_LOOKBACK_HOURS",
    "OTHER_JOBS",
    "ExchangeSource",
    "FeatureSet",
    "HourlySchedule",
    "Market",
    "OhlcvSource",
    "asset_slug",
    "configs_folder",
    "load_market",
    "load_markets",
    "market_from",
    "read_feature_list",
]
