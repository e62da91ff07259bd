"""The code location: the markets of the configs folder -> Definitions, and nothing else."""

import warnings
from collections.abc import Sequence

import dagster as dg

from feature_backfill.assets.bars import bars_asset
from feature_backfill.assets.features import features_asset
from feature_backfill.assets.ohlcv import ohlcv_asset
from feature_backfill.assets.progress import ProgressListener
from feature_backfill.automation.jobs import backfill_job
from feature_backfill.config import CONFIGS_VARIABLE, Market, configs_folder, load_markets
from feature_backfill.errors import UserError


def build_definitions(markets: Sequence[Market], progress: ProgressListener | None = None) -> dg.Definitions:
    """The assets and jobs of markets. progress: hears of runs in this process.

    Runs execute in one process: a range is one step an asset, and a step process costs more than the step.
    """
    # Backfill policies, without which a range is a run an hour, count as beta in Dagster 1.13.
    warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = []
    jobs = []
    for market in markets:
        assets.append(ohlcv_asset(market))
        assets += [bars_asset(market, timeframe) for timeframe in market.bar_timeframes]
        assets += [features_asset(market, feature_set) for feature_set in market.feature_sets]
        jobs += [backfill_job(market, feature_set) for feature_set in market.feature_sets]
    return dg.Definitions(
        assets=assets,
        jobs=jobs,
        resources={"progress": progress or ProgressListener()},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The markets of the configs folder. Raises UserError if there are none."""
    markets = load_markets()
    if not markets:
        raise UserError(
            f"no market YAML in {configs_folder()}; write one, or name another folder with {CONFIGS_VARIABLE}"
        )
    return build_definitions(markets)
