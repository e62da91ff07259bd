"""The asset checks of a market, and what they are attached to.

The checks are about all hours of an asset at once, and stand on an asset of their own, `<market>/checks/...`, which
nothing executes and which has no partitions. On the hourly asset itself they would harm it (dagster 1.13.27):

* Whatever materializes an asset through the UI or `dagster asset materialize` executes its checks too, and there is no
  way to leave them out. Such a run plans each check once for every hour of its range, even though the check has no
  partitions: 11 s and 27 MB of SQLite for 20,000 hours and one check, and beyond 31,250 hours (4,095 where SQLite takes
  32,766 parameters) the run cannot even be created.
* A check shows its result only until the asset is materialized again, which happens every hour.

None is blocking: they take part in no run that anything could be kept from, and rows that cannot be computed soundly
are not stored in the first place.
"""

import random
from collections.abc import Callable

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


class ParityConfig(dg.Config):
    """Which rows to recompute."""

    seed: int | None = Field(default=None, ge=0, lt=2**63, description="That of an earlier run. None: a new one.")
    hours: int | None = Field(default=None, ge=1, description="How many. None: as many as take about 2 s.")


def checked_key(key: dg.AssetKey) -> dg.AssetKey:
    """Where the checks of an hourly asset stand: `<market>/checks/ohlcv` for `<market>/ohlcv`."""
    market, *rest = key.path
    return dg.AssetKey([market, "checks", *rest])


def checked_assets(market: Market) -> list[dg.AssetSpec]:
    """What the checks of a market are attached to."""
    keys = [ohlcv_key(market), *(features_key(market, feature_set) for feature_set in market.feature_sets)]
    return [
        dg.AssetSpec(
            checked_key(key),
            deps=[key],
            description=f"All hours of {key.to_user_string()} taken together, as its checks see them.",
            group_name=market.name,
            owners=list(market.owners),
        )
        for key in keys
    ]


def market_checks(market: Market) -> list[dg.AssetChecksDefinition]:
    """The checks of a market's OHLCV and feature sets."""
    return [
        *(_ohlcv_check(market, look) for look in (continuity, sanity)),
        *(
            _features_check(market, feature_set, look)
            for feature_set in market.feature_sets
            for look in (freshness, completeness, corrections, feature_names, missing_values)
        ),
        *(_parity_check(market, feature_set) for feature_set in market.feature_sets),
    ]


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
        seed = random.randrange(2**31) if config.seed is None else config.seed
        with user_errors_fail_the_step():
            return parity(market, feature_set, config.hours or sample_size(feature_set), seed)

    return check


def _first_line(look: Callable[..., dg.AssetCheckResult]) -> str:
    return (look.__doc__ or "").partition("\n")[0]
