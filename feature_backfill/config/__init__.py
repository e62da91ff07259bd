"""The YAML files of configs/: one market each, with its OHLCV, its database and its feature sets."""

from feature_backfill.config.alerts import Alerts, AlertTarget, read_alerts, usable_alerts
from feature_backfill.config.feature_list import read_feature_list
from feature_backfill.config.files import load_market, market_from
from feature_backfill.config.lake import Lake
from feature_backfill.config.last_good import remember, remembered
from feature_backfill.config.markets import CONFIGS_VARIABLE, BrokenMarket, Markets, configs_folder, read_markets
from feature_backfill.config.schema import (
    LONGEST_LOOKBACK_HOURS,
    OTHER_JOBS,
    FeatureSet,
    HourlySchedule,
    KnownGap,
    Market,
    asset_slug,
    checks_name,
)
from feature_backfill.config.sources import ExchangeSource, OhlcvSource

__all__ = [
    "CONFIGS_VARIABLE",
    "LONGEST_LOOKBACK_HOURS",
    "OTHER_JOBS",
    "AlertTarget",
    "Alerts",
    "BrokenMarket",
    "ExchangeSource",
    "FeatureSet",
    "HourlySchedule",
    "KnownGap",
    "Lake",
    "Market",
    "Markets",
    "OhlcvSource",
    "asset_slug",
    "checks_name",
    "configs_folder",
    "load_market",
    "market_from",
    "read_alerts",
    "read_feature_list",
    "read_markets",
    "remember",
    "remembered",
    "usable_alerts",
]
