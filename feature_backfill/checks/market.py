"""Which checks a market has."""

import random
from collections.abc import Callable, Iterator

import dagster as dg

from feature_backfill.checks.completeness import completeness
from feature_backfill.checks.corrections import corrections
from feature_backfill.checks.feature_names import feature_names
from feature_backfill.checks.freshness import freshness
from feature_backfill.checks.missing_values import missing_values
from feature_backfill.checks.ohlcv import continuity, sanity
from feature_backfill.checks.parity import parity, sample_size
from feature_backfill.checks.uniqueness import uniqueness
from feature_backfill.config import FeatureSet, Lake, Market

OHLCV_CHECKS = (continuity, sanity)
FEATURES_CHECKS = (freshness, completeness, corrections, feature_names, missing_values)
"""The checks of a feature set that need no further choice. Parity needs a sample."""


def features_checks(market: Market) -> tuple[Callable[[Market, FeatureSet], dg.AssetCheckResult], ...]:
    """The checks of a market's feature sets but parity. The primary keys of a DuckDB file spare it one of them."""
    return (*FEATURES_CHECKS, uniqueness) if isinstance(market.target, Lake) else FEATURES_CHECKS


def look_at(market: Market, feature_set: FeatureSet) -> Iterator[tuple[str, dg.AssetCheckResult]]:
    """The name and the result of each check of a market's OHLCV and of one feature set, without Dagster's records.

    Raises UserError where a check cannot be made: no table, no row.
    """
    for ohlcv_check in OHLCV_CHECKS:
        yield ohlcv_check.__name__, ohlcv_check(market)
    for features_check in features_checks(market):
        yield features_check.__name__, features_check(market, feature_set)
    yield parity.__name__, parity(market, feature_set, sample_size(feature_set), new_seed())


def new_seed() -> int:
    """A seed for the sample of the parity check."""
    return random.randrange(2**31)
