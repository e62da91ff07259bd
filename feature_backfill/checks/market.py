"""The asset checks of a market, and the assets that they are attached to.

A check looks at all hours of an asset at once. It is attached to a separate asset, `<market>/checks/...`, which has no
partitions and is never executed. Attached to the hourly asset itself, checks would do harm (dagster 1.13.27):

* A run started by the UI or by `dagster asset materialize` also executes the checks of its assets; they cannot be
  excluded. The run plans each check once for every hour of its range, although the check has no partitions. For 20,000
  hours and one check this takes 11 s and 27 MB of SQLite. Beyond 31,250 hours the run cannot be created at all. Where
  SQLite allows 32,766 parameters, the limit is 4,095 hours.
* The UI shows the result of a check only until the asset is materialized again, which happens every hour.

No check is blocking. Checks run in a job of their own, so there is nothing to block, and rows that cannot be computed
soundly are never stored.
"""

import random
from collections.abc import Callable, Iterator

import dagster as dg
from pydantic import Field

from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.assets.names import features_key, ohlcv_key
from feature_backfill.checks.completeness import completeness
from feature_backfill.checks.corrections import corrections
from feature_backfill.checks.feature_names import feature_names
from feature_backfill.checks.freshness import freshness
from feature_backfill.checks.missing_values import missing_values
from feature_backfill.checks.ohlcv import continuity, sanity
from feature_backfill.checks.parity import parity, sample_size
from feature_backfill.config import FeatureSet, Market

OHLCV_CHECKS = (continuity, sanity)
FEATURES_CHECKS = (freshness, completeness, corrections, feature_names, missing_values)
"""The checks of a feature set that need no further choice. Parity needs a sample."""


class ParityConfig(dg.Config):
    """Which rows the parity check recomputes."""

    seed: int | None = Field(default=None, ge=0, lt=2**63, description="Seed of a sample to repeat. None: a new seed.")
    hours: int | None = Field(default=None, ge=1, description="How many rows. None: as many as take about 2 s.")


def checked_key(key: dg.AssetKey) -> dg.AssetKey:
    """The asset that carries the checks of an hourly asset: `<market>/checks/ohlcv` for `<market>/ohlcv`."""
    market, *rest = key.path
    return dg.AssetKey([market, "checks", *rest])


def checked_assets(market: Market) -> list[dg.AssetSpec]:
    """The assets that carry the checks of a market."""
    keys = [ohlcv_key(market), *(features_key(market, feature_set) for feature_set in market.feature_sets)]
    return [
        dg.AssetSpec(
            checked_key(key),
            deps=[key],
            description=f"Carries the checks of {key.to_user_string()}, each of which looks at all hours.",
            group_name=market.name,
            owners=list(market.owners),
        )
        for key in keys
    ]


def market_checks(market: Market) -> list[dg.AssetChecksDefinition]:
    """The checks of a market's OHLCV and feature sets."""
    return [
        *(_ohlcv_check(market, look) for look in OHLCV_CHECKS),
        *(
            _features_check(market, feature_set, look)
            for feature_set in market.feature_sets
            for look in FEATURES_CHECKS
        ),
        *(_parity_check(market, feature_set) for feature_set in market.feature_sets),
    ]


def look_at(market: Market, feature_set: FeatureSet) -> Iterator[tuple[str, dg.AssetCheckResult]]:
    """The name and the result of each check of a market's OHLCV and of one feature set, without Dagster's records.

    Raises UserError where a check cannot be made: no table, no row.
    """
    for ohlcv_check in OHLCV_CHECKS:
        yield ohlcv_check.__name__, ohlcv_check(market)
    for features_check in FEATURES_CHECKS:
        yield features_check.__name__, features_check(market, feature_set)
    yield parity.__name__, parity(market, feature_set, sample_size(feature_set), _new_seed())


def _new_seed() -> int:
    return random.randrange(2**31)


def _ohlcv_check(market: Market, look: Callable[[Market], dg.AssetCheckResult]) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=checked_key(ohlcv_key(market)), name=look.__name__, description=_first_line(look))
    def check() -> dg.AssetCheckResult:
        with user_errors_fail_the_step():
            return look(market)

    return check


def _features_check(
    market: Market, feature_set: FeatureSet, look: Callable[[Market, FeatureSet], dg.AssetCheckResult]
) -> dg.AssetChecksDefinition:
    key = checked_key(features_key(market, feature_set))

    @dg.asset_check(asset=key, name=look.__name__, description=_first_line(look))
    def check() -> dg.AssetCheckResult:
        with user_errors_fail_the_step():
            return look(market, feature_set)

    return check


def _parity_check(market: Market, feature_set: FeatureSet) -> dg.AssetChecksDefinition:
    key = checked_key(features_key(market, feature_set))

    @dg.asset_check(asset=key, name=parity.__name__, description=_first_line(parity))
    def check(config: ParityConfig) -> dg.AssetCheckResult:
        seed = _new_seed() if config.seed is None else config.seed
        with user_errors_fail_the_step():
            return parity(market, feature_set, config.hours or sample_size(feature_set), seed)

    return check


def _first_line(look: Callable[..., dg.AssetCheckResult]) -> str:
    return (look.__doc__ or "").partition("\n")[0]
