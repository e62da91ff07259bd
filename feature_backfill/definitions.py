"""The code location: builds Definitions from the markets of the configs folder.

A YAML that is broken stops its own market only. `dagster definitions validate` and `dg check defs`, which set the
environment variable VALIDATION for this purpose, refuse it instead.
"""

import gc
import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from feature_backfill.alerts.sending import refuse_bad_addresses
from feature_backfill.assets.bars import bars_assets
from feature_backfill.assets.broken import ShownAsBroken, broken_assets, shown_as_broken
from feature_backfill.assets.features import features_asset
from feature_backfill.assets.ohlcv import ohlcv_asset
from feature_backfill.assets.progress import ProgressListener
from feature_backfill.assets.target import TARGETS, target_databases
from feature_backfill.automation.alerts import alerts_sensor, silent_sensor
from feature_backfill.automation.broken import broken_check, broken_sensor
from feature_backfill.automation.checks import checks_job, checks_schedule
from feature_backfill.automation.compaction import compaction_job
from feature_backfill.automation.dry_run import plan_job
from feature_backfill.automation.fetching import fetch_job, fetch_schedule
from feature_backfill.automation.history import history_job
from feature_backfill.automation.imports import import_job
from feature_backfill.automation.jobs import backfill_job
from feature_backfill.automation.maintenance import maintenance_job, maintenance_schedule
from feature_backfill.automation.new_hours import new_hours_job
from feature_backfill.automation.repairs import repair_job
from feature_backfill.automation.reporting import report_job, report_schedule
from feature_backfill.automation.schedules import hourly_schedule
from feature_backfill.automation.sensors import new_hours_sensor, ohlcv_sensor
from feature_backfill.checks.assets import checks_assets, market_checks
from feature_backfill.checks.market import look_at
from feature_backfill.config import (
    CONFIGS_VARIABLE,
    ExchangeSource,
    Lake,
    Market,
    Markets,
    read_markets,
    remember,
    remembered,
    usable_alerts,
)
from feature_backfill.errors import UserError
from feature_backfill.reports.assets import report_asset

VALIDATION = "DAGSTER_IS_DEFS_VALIDATION_CLI"
"""Set to 1 by Dagster where it validates definitions; its help documents the variable."""


def build_definitions(markets: Sequence[Market], progress: ProgressListener | None = None) -> dg.Definitions:
    """The assets, checks, jobs, schedules and sensors of markets.

    All steps of a run share one process. A range is a single step for each asset, and starting a process for a step
    takes longer than the step itself.

    progress: is notified of the runs in this process; by default nobody is.
    """
    # Without a backfill policy, a range would become one run for each hour. Dagster 1.13 still calls the policies beta,
    # and warns of the owners of sensors when it copies a sensor itself.
    warnings.filterwarnings("ignore", "Parameter `(backfill_policy|owners)`", dg.BetaWarning)
    bringing = {market.name: job for market in markets if (job := _bringing_job(market))}
    market_definitions = [_market_definitions(market, bringing.get(market.name)) for market in markets]
    rest = dg.Definitions(
        jobs=[compaction_job(), new_hours_job(markets), history_job(markets), plan_job(markets), repair_job(markets)],
        sensors=[ohlcv_sensor(markets, list(bringing.values())), new_hours_sensor(markets)],
        resources={"progress": progress or ProgressListener(), TARGETS: target_databases()},
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(*market_definitions, rest, _lake_definitions(markets))


def _lake_definitions(markets: Sequence[Market]) -> dg.Definitions:
    """The upkeep of lakes, if a market has one."""
    in_lakes = [market for market in markets if isinstance(market.target, Lake)]
    if not in_lakes:
        return dg.Definitions()
    maintenance = maintenance_job(in_lakes)
    return dg.Definitions(jobs=[maintenance], schedules=[maintenance_schedule(maintenance)])


def _bringing_job(market: Market) -> dg.JobDefinition | None:
    """The job that fills the market's table, if the project does."""
    if isinstance(market.source, ExchangeSource):
        return fetch_job(market)
    return import_job(market) if market.source.folder else None


def _market_definitions(market: Market, bringing: dg.JobDefinition | None) -> dg.Definitions:
    """The definitions of one market. Each feature set has a job and a schedule.

    bringing: the job that fills the market's table, if the project does.
    """
    fetched = isinstance(market.source, ExchangeSource)
    jobs: list[dg.JobDefinition | dg.UnresolvedAssetJobDefinition] = []
    jobs += [bringing] if bringing else []
    checks = market_checks(market)
    checking = checks_job(market, checks)
    reporting = report_job(market)
    jobs += [checking, reporting]
    schedules = [checks_schedule(market, checking), report_schedule(market, reporting)]
    schedules += [fetch_schedule(market, bringing)] if fetched and bringing else []
    for feature_set in market.feature_sets:
        job = backfill_job(market, feature_set)
        jobs.append(job)
        schedules.append(hourly_schedule(market, feature_set, job))
    return dg.Definitions(
        assets=[
            *_unexecuted([ohlcv_asset(market), *checks_assets(market)]),
            *bars_assets(market),
            *(features_asset(market, feature_set) for feature_set in market.feature_sets),
            report_asset(market, look_at),
        ],
        asset_checks=checks,
        jobs=jobs,
        schedules=schedules,
    )


def _unexecuted(specs: Sequence[dg.AssetSpec]) -> list[dg.AssetsDefinition]:
    """Definitions of assets that no run executes, one each.

    Dagster would make a single definition of all those of the code location, and copy it for every job that needs one.
    """
    return [dg.AssetsDefinition(specs=[spec]) for spec in specs]


def _broken_definitions(shown: Sequence[ShownAsBroken]) -> dg.Definitions:
    """What stands for the broken files: assets, a check for each file, and a sensor. Nothing if there are none."""
    if not shown:
        return dg.Definitions()
    return dg.Definitions(
        assets=_unexecuted([spec for each in shown for spec in broken_assets(each)]),
        asset_checks=[broken_check(each) for each in shown],
        sensors=[broken_sensor(shown)],
    )


def _alerts_definitions(markets: Markets, shown: Sequence[ShownAsBroken]) -> dg.Definitions:
    """The sensor that tells of changes; nothing without alerts.yaml.

    Raises UserError, where Dagster validates, if the file is broken.
    """
    try:
        alerts, refused = usable_alerts(markets.folder)
        if alerts is None:
            return dg.Definitions()
        if _is_validation():
            refuse_bad_addresses(alerts)
        if refused and _is_validation():
            raise UserError(refused)
        if refused:
            logging.getLogger(__name__).error("%s; these targets are told of nothing", refused)
        return dg.Definitions(sensors=[alerts_sensor(alerts, markets.valid, shown, refused)])
    except UserError as error:
        if _is_validation():
            raise
        logging.getLogger(__name__).error("%s; nobody is told of anything", error)
        return dg.Definitions(sensors=[silent_sensor(str(error))])


def _is_validation() -> bool:
    return os.environ.get(VALIDATION) == "1"


def _last_good(markets: Markets) -> list[Market | None]:
    """The market that each broken file described before. Those of the other files are remembered.

    They are kept in $DAGSTER_HOME, beside the history of their assets; without one, nothing is.
    """
    home = os.environ.get("DAGSTER_HOME", "").strip()
    if not home:
        return [None] * len(markets.broken)
    memory = Path(home).expanduser() / "feature_backfill" / "last_good"
    for file, market in markets.by_file.items():
        remember(memory, file, market)
    return [remembered(memory, broken.file) for broken in markets.broken]


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of every market in the configs folder, and what shows the broken files.

    Raises UserError if there is no file or, where Dagster validates, if one is broken.
    """
    gc.set_threshold(
        100_000, 50, 100
    )  # definitions stay: to look among them for garbage takes a quarter of the loading
    markets = read_markets()
    if not markets.valid and not markets.broken:
        raise UserError(
            f"no market YAML in {markets.folder}; write one as the README says, or set {CONFIGS_VARIABLE} to another "
            "folder"
        )
    if markets.broken and _is_validation():
        raise UserError("; ".join(markets.errors))
    for error in markets.errors:
        logging.getLogger(__name__).error("%s; this market does not run", error)
    shown = shown_as_broken(markets, _last_good(markets))
    return dg.Definitions.merge(
        build_definitions(markets.valid), _broken_definitions(shown), _alerts_definitions(markets, shown)
    )
