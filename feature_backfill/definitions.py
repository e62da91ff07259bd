"""The code location: builds Definitions from the markets of the configs folder."""

import warnings
from collections.abc import Sequence

import dagster as dg

from feature_backfill.assets.bars import bars_asset
from feature_backfill.assets.features import features_asset
from feature_backfill.assets.ohlcv import ohlcv_asset
from feature_backfill.assets.progress import ProgressListener
from feature_backfill.assets.target import target_database, target_key
from feature_backfill.automation.checks import checks_job, checks_schedule
from feature_backfill.automation.dry_run import plan_job
from feature_backfill.automation.imports import import_job
from feature_backfill.automation.jobs import backfill_job
from feature_backfill.automation.repairs import repair_job
from feature_backfill.automation.schedules import hourly_schedule
from feature_backfill.automation.sensors import incremental_sensor, ohlcv_sensor
from feature_backfill.checks.assets import checks_assets, market_checks
from feature_backfill.config import CONFIGS_VARIABLE, Market, configs_folder, load_markets
from feature_backfill.errors import UserError


def build_definitions(markets: Sequence[Market], progress: ProgressListener | None = None) -> dg.Definitions:
    """The assets, checks, jobs, schedules and sensors of markets.

    All steps of a run share one process. A range is a single step for each asset, and starting a process for a step
    takes longer than the step itself.

    progress: is notified of the runs in this process; by default nobody is.
    """
    # Without a backfill policy, a range would become one run for each hour. Dagster 1.13 still calls the policies beta.
    warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)
    market_definitions = [_market_definitions(market) for market in markets]
    rest = dg.Definitions(resources={"progress": progress or ProgressListener()}, executor=dg.in_process_executor)
    return dg.Definitions.merge(*market_definitions, rest)


def _market_definitions(market: Market) -> dg.Definitions:
    """The definitions of one market. Each feature set has a job, a plan job, a schedule and a sensor."""
    importing = import_job(market) if market.source.folder else None
    jobs: list[dg.JobDefinition | dg.UnresolvedAssetJobDefinition] = [repair_job(market)]
    jobs += [importing] if importing else []
    checks = market_checks(market)
    checking = checks_job(market, checks)
    jobs.append(checking)
    sensors, schedules = [ohlcv_sensor(market, importing)], [checks_schedule(market, checking)]
    for feature_set in market.feature_sets:
        job = backfill_job(market, feature_set)
        jobs += [job, plan_job(market, feature_set)]
        schedules.append(hourly_schedule(market, feature_set, job))
        sensors.append(incremental_sensor(market, feature_set, job))
    return dg.Definitions(
        assets=[
            ohlcv_asset(market),
            *(bars_asset(market, timeframe) for timeframe in market.bar_timeframes),
            *(features_asset(market, feature_set) for feature_set in market.feature_sets),
            *checks_assets(market),
        ],
        asset_checks=checks,
        jobs=jobs,
        resources={target_key(market): target_database(market)},
        schedules=schedules,
        sensors=sensors,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of every market in the configs folder. Raises UserError if there is no market."""
    markets = load_markets()
    if not markets:
        raise UserError(f"no market YAML in {configs_folder()}; write one, or set {CONFIGS_VARIABLE} to another folder")
    return build_definitions(markets)
