"""Fetches OHLCV from a market's exchange and computes what follows from it: one job, one step, one process.

The hourly schedule starts the job two minutes before the hour closes, so that its process waits for the candle and not
the candle for the process. The sensor of the market's OHLCV starts it whenever the table is behind: at first, and after
a fetch failed.
"""

import time
from dataclasses import dataclass

import dagster as dg
import pandas as pd
from pydantic import Field

from feature_backfill.assets.bars import refresh_bars
from feature_backfill.assets.decisions import plan_of, staleness_of
from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.assets.rows import make_rows, upstream_of
from feature_backfill.assets.target import TARGETS
from feature_backfill.automation.incremental import newest_plan
from feature_backfill.automation.runs import ENDED, Runs, due_after
from feature_backfill.config import ExchangeSource, FeatureSet, Market
from feature_backfill.errors import ErrorsNoted, RunError, shortened
from feature_backfill.hours import HOUR, last_closed_hour, to_utc, utc_now
from feature_backfill.planning.plan import Keep, Plan
from feature_backfill.sources.registry import bring
from feature_backfill.sources.source import NO_HOURS, Brought, Progress
from feature_backfill.sources.wording import brought_lines
from feature_backfill.store.bounds import utc_bound
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours
from feature_backfill.store.fetched import restated_rows
from feature_backfill.store.ohlcv import ohlcv_extent
from feature_backfill.store.schema import has_table
from feature_backfill.store.targets import exists

MINUTE = 58
"""Past each hour. In the two minutes that are left, the processes of ten markets start on two cores."""

PRIORITY = {"dagster/priority": "10"}
"""Run tag: goes before other runs in Dagster's queue, because the candle does not wait."""

LOOKED_BACK = pd.Timedelta(days=1)
"""Rows that rest on what was restated within this time are looked at by each fetch that recomputes: should one fail,
the next ones see to it."""

LOGGED_EVERY_S = 10.0
REMEMBERED_FETCHES = 20
SHOWN = 3


class FetchConfig(dg.Config):
    """Which hours a run fetches."""

    since: str = Field(default="", description="Fetch from this hour on, UTC: 2025-11-13T08:00. Empty: what lacks.")
    awaited: str = Field(default="", description="Wait for this hour, UTC, which is about to close. Empty: none.")


def fetch_job_name(market: Market) -> str:
    """`<market>__fetch`."""
    return f"{market.name}__fetch"


def fetch_job(market: Market) -> dg.JobDefinition:
    """Fetches what the table lacks, then computes the rows of all feature sets that can be computed since their newest.

    It takes no slot of the market's pool: a row of the hour that has just closed must not wait for a long backfill. The
    two may write at the same time, for DuckDB's lock of the file lets one transaction in after the other, both compute
    the same row of an hour, and a row that is equal to the stored one is not written again.
    """

    @dg.op(
        name=f"{fetch_job_name(market)}_op",
        required_resource_keys={TARGETS, "progress"},
        out=dg.Out(dg.Nothing),
    )
    def fetch_op(context: dg.OpExecutionContext, config: FetchConfig) -> None:
        with user_errors_fail_the_step():
            since, awaited = utc_bound("since", config.since or None), utc_bound("awaited", config.awaited or None)
            since, awaited = since and since.ceil("h"), awaited and awaited.floor("h")
            brought, errors = Brought(), ErrorsNoted()
            with errors.noted():
                bring(market, since, awaited, brought, _logged(context))
                _require_newest(market, awaited, brought)
            context.log.info("\n".join(brought_lines(market, brought)))
            if len(brought.hours):
                with errors.noted():
                    report_ohlcv(context.instance, market, brought.hours, brought)
            for feature_set in market.feature_sets:
                with errors.noted():
                    _make(context, market, feature_set, newest_plan(market, feature_set, utc_now()))
            for feature_set in market.feature_sets:
                with errors.noted():
                    stale = _resting_on(market, feature_set, _restated(market, brought))
                    renewed = plan_of(market, feature_set, stale, Keep.CURRENT) if len(stale) else None
                    _make(context, market, feature_set, renewed)
            errors.raise_all()

    @dg.job(
        name=fetch_job_name(market),
        description=(
            f"Fetches {market.source.table} ({market.source.origin}), reports its hours, and computes the features of "
            "the new ones. What is there already is kept."
        ),
        executor_def=dg.in_process_executor,
        tags=PRIORITY,
    )
    def fetch() -> None:
        fetch_op()

    return fetch


def fetch_schedule(market: Market, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Starts a fetch that waits for the hour that is about to close, unless a fetch is going."""

    @dg.schedule(
        name=f"{fetch_job_name(market)}_hourly",
        job=job,
        cron_schedule=f"{MINUTE} * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Fetches each hour of {market.name} as soon as it has closed, and computes its features.",
    )
    def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        closing = to_utc([context.scheduled_execution_time])[0].floor("h")
        if closing < market.first_hour:
            return dg.SkipReason(f"{closing} is before {market.first_hour}, the first hour of {market.name}")
        if Runs(context.instance).is_on_its_way(fetch_job_name(market)):
            return dg.SkipReason("a fetch is queued or running")
        return dg.RunRequest(run_config=fetch_config(market, awaited=closing))

    return hourly


def fetch_config(market: Market, awaited: pd.Timestamp) -> dict[str, object]:
    """The run config of a fetch that waits for an hour."""
    return {"ops": {f"{fetch_job_name(market)}_op": {"config": {"awaited": f"{awaited:%Y-%m-%dT%H:%M}"}}}}


@dataclass(frozen=True)
class FetchRequest:
    """The outcome of one look: whether to start a fetch now, and why or why not."""

    asked: bool
    message: str


def next_fetch(runs: Runs, market: Market, now: pd.Timestamp) -> FetchRequest:
    """Ask for a fetch if the table is behind (UTC-naive now), none is going, and the last did not end just before.

    Raises UserError or RunError if the table cannot be looked at.
    """
    if runs.is_on_its_way(fetch_job_name(market)):
        return FetchRequest(False, "a fetch is queued or running")
    newest = newest_row(market)
    if newest is not None and newest >= last_closed_hour(now):
        return FetchRequest(False, "")
    behind = f"{market.source.table} has no row yet" if newest is None else f"{market.source.table} ends at {newest}"
    ended = dg.RunsFilter(job_name=fetch_job_name(market), statuses=ENDED)
    records = runs.instance.get_run_records(ended, limit=REMEMBERED_FETCHES)
    if records:
        failed = [record.dagster_run.status != dg.DagsterRunStatus.SUCCESS for record in records]
        failures = failed.index(False) if False in failed else len(failed)
        if due := due_after(records[0], max(failures, 1), now):
            last = f"the last {failures} fetches failed" if failures else "the last fetch brought no more"
            return FetchRequest(False, f"{behind}; {last}, the next is requested at {due:%Y-%m-%d %H:%M} UTC")
    return FetchRequest(True, f"{behind}; fetching")


def is_fetching(runs: Runs, market: Market) -> bool:
    """Whether a fetch of the market is under way, which sees to the features of new hours itself."""
    going = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    return isinstance(market.source, ExchangeSource) and runs.is_on_its_way(fetch_job_name(market), going)


def newest_row(market: Market) -> pd.Timestamp | None:
    """The newest hour of the table, None if there is none."""
    if not market.source.database.exists():
        return None
    with connect(market.source.database, read_only=True) as connection:
        known = has_table(connection, market.source.table)
        extent = ohlcv_extent(connection, market.source.table) if known else None
    return None if extent is None else extent[1]


def _require_newest(market: Market, awaited: pd.Timestamp | None, brought: Brought) -> None:
    """Raise RunError if the newest hours that were asked for are not there."""
    late = brought.absent if awaited is None else brought.absent.union([awaited]).difference(brought.hours)
    newest = newest_row(market) if len(late) else None
    late = late if newest is None else late[late > newest]
    if len(late):
        hours = shortened([f"{hour:%Y-%m-%d %H:%M}" for hour in late], SHOWN)
        raise RunError(f"{market.source.origin}: not there yet: {hours}; the next fetch asks again")


def _restated(market: Market, brought: Brought) -> pd.DatetimeIndex:
    """The hours that were restated lately, if the rows that rest on them are to be computed anew."""
    source = market.source
    if not isinstance(source, ExchangeSource) or source.restated != "recompute" or brought.seen is None:
        return NO_HOURS
    with connect(source.database, read_only=True) as connection:
        rows = restated_rows(connection, source.table, since=brought.seen - LOOKED_BACK)
    return pd.DatetimeIndex(rows["timestamp"]).unique().sort_values()


def _resting_on(market: Market, feature_set: FeatureSet, restated: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The stored hours in the reach of restated ones whose rows are stale and can be computed anew, ascending."""
    if restated.empty or not exists(market.target):
        return NO_HOURS
    first, last = max(restated[0], market.first_hour), restated[-1] + (feature_set.lookback.hours - 1) * HOUR
    with connect(market.target, read_only=True) as connection:
        stored = stored_hours(connection, feature_set.key, first, last)
    return NO_HOURS if stored.empty else staleness_of(market, feature_set, stored).renewable


def _make(context: dg.OpExecutionContext, market: Market, feature_set: FeatureSet, plan: Plan | None) -> None:
    """Refresh the bars of a plan's hours, and make its rows."""
    if plan is not None:
        refresh_bars(context, market, feature_set.bar_timeframes, plan.present.union(plan.absent))
        make_rows(context, market, feature_set, plan, upstream_of(context.instance, market, feature_set))


def _logged(context: dg.OpExecutionContext) -> Progress:
    """Progress as lines of the run's log, one every few seconds."""
    last = time.monotonic()

    def log(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LOGGED_EVERY_S:
            last = time.monotonic()
            context.log.info(f"{what}: {done:,} of {total:,}")

    return log
