"""The sensors: one for each feature set that requests hours to compute, and one for each market's OHLCV.

Every sensor is on by default, so that nothing must be switched on for new features to become current. The amount of
work stays small: a feature set without stored rows begins 49 hours back. If everything is stored, or the OHLCV table
does not exist yet, a tick only reports that. A tick requests more in four cases:

* Hours without a row between the first and the last stored hour, as they were when the sensor first looked.
* Hours that a run was meant to compute and did not.
* Files in a market's folder.
* A fetch from a market's exchange, if the table is behind.

Any other history is filled by a backfill that the operator starts.

A tick does not fail if a database is locked or missing. It reports the problem, and the next tick tries again.
"""

import time

import dagster as dg
from pydantic import BaseModel

from feature_backfill.assets.ohlcv import News, ohlcv_news, report_news
from feature_backfill.automation.changes import KnownFiles, database_state, digest
from feature_backfill.automation.fetching import fetch_job_name, is_fetching, next_fetch
from feature_backfill.automation.imports import FILES_TAG, import_job_name, next_import
from feature_backfill.automation.incremental import PATIENCE_S, Cursor, next_request
from feature_backfill.automation.jobs import batch_tags, job_name
from feature_backfill.config import ExchangeSource, FeatureSet, Market
from feature_backfill.dagster_internals.bulk_events import records_in_bulk
from feature_backfill.dagster_internals.orphans import end_orphans
from feature_backfill.errors import RunError, UserError
from feature_backfill.hours import last_closed_hour, partition_key, utc_now
from feature_backfill.planning.ranges import batches

INTERVAL_S = 30
REPORTED_AT_A_TIME = 1000
REPORTING_S = 20.0
"""How long a tick may spend on reporting OHLCV hours. Dagster allows a tick 60 s; an unbatched hour takes 10 ms."""


class OhlcvCursor(BaseModel):
    """What a tick leaves for the next one.

    files: those of the folder, in the state in which each was last imported.
    reported: a digest of the state of the database when every one of its hours had been reported.
    """

    files: KnownFiles = KnownFiles()
    reported: str = ""


def incremental_sensor(
    market: Market, feature_set: FeatureSet, job: "dg.UnresolvedAssetJobDefinition"
) -> dg.SensorDefinition:
    """Requests the feature set's hours that can be computed and are not stored, one run for each contiguous range."""

    @dg.sensor(
        name=f"{job_name(market, feature_set)}__new_hours",
        job=job,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"{feature_set.key}: requests the hours from the last stored one to the last closed one of "
            f"{market.source.table}, and older hours that can be computed now because a gap was filled, a row was "
            "deleted or a run failed."
        ),
    )
    def new_hours(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        ended = _ended_orphans(context)
        if is_fetching(context.instance, market):
            message = f"{ended}a fetch is running, which computes the new hours itself"
            return dg.SensorResult(skip_reason=message, cursor=context.cursor)
        cursor = Cursor.model_validate_json(context.cursor) if context.cursor else Cursor()
        try:
            request = next_request(context.instance, market, feature_set, cursor, utc_now())
        except (UserError, RunError) as error:
            return dg.SensorResult(skip_reason=f"{ended}trying again at the next tick: {error}", cursor=context.cursor)
        written = request.cursor.model_dump_json()
        if not request.ranges:
            return dg.SensorResult(skip_reason=f"{ended}{request.message}", cursor=written)
        context.log.info(f"{ended}{request.message}")
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(tags=batch_tags(batch))
                for batch in batches(request.ranges, records_in_bulk(context.instance))
            ],
            cursor=written,
        )

    return new_hours


def ohlcv_sensor(market: Market, bringing: dg.JobDefinition | None) -> dg.SensorDefinition:
    """Reports the hours of the OHLCV table to Dagster, and requests runs of the job that fills it, if there is one.

    bringing: imports the files in the market's folder, or fetches from its exchange.
    """
    fetched = isinstance(market.source, ExchangeSource)

    @dg.sensor(
        name=f"{market.name}__ohlcv",
        jobs=None if bringing is None else [bringing],
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Shows the hours of {market.source.table} as materialized; an hour without a row stays missing."
        + (f" Imports files of {market.source.folder} when they appear or change." if market.source.folder else "")
        + (" Starts a fetch when the table is behind." if fetched else ""),
    )
    def ohlcv(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        messages = [_ended_orphans(context).removesuffix("; ")]
        cursor = OhlcvCursor.model_validate_json(context.cursor) if context.cursor else OhlcvCursor()
        requests: list[dg.RunRequest] = []
        if market.source.folder is not None:
            requests += _imports(context, market, cursor, messages)
        if fetched:
            requests += _fetches(context, market, messages)
        state = digest(database_state(market.source.database), partition_key(last_closed_hour(utc_now())))
        try:
            complete, message = (True, "nothing changed") if cursor.reported == state else _report(context, market)
            cursor.reported = state if complete else ""
            messages.append(message)
        except (UserError, RunError) as error:
            messages.append(f"trying again at the next tick: {error}")
        message = "; ".join(filter(None, messages))
        if not requests:
            return dg.SensorResult(skip_reason=message, cursor=cursor.model_dump_json())
        context.log.info(message)
        return dg.SensorResult(run_requests=requests, cursor=cursor.model_dump_json())

    return ohlcv


def _imports(
    context: dg.SensorEvaluationContext, market: Market, cursor: OhlcvCursor, messages: list[str]
) -> list[dg.RunRequest]:
    """The import to request, if any. Updates the cursor, and adds what there is to say."""
    asked = next_import(context.instance, market, cursor.files, utc_now())
    cursor.files = asked.imported
    messages.append(asked.message)
    if not asked.files:
        return []
    run_config = {"ops": {f"{market.name}__import": {"config": {"files": asked.files}}}}
    return [dg.RunRequest(job_name=import_job_name(market), run_config=run_config, tags={FILES_TAG: asked.digest})]


def _fetches(context: dg.SensorEvaluationContext, market: Market, messages: list[str]) -> list[dg.RunRequest]:
    """The fetch to request, if any. Adds what there is to say."""
    try:
        asked = next_fetch(context.instance, market, utc_now())
    except (UserError, RunError) as error:
        messages.append(f"trying again at the next tick: {error}")
        return []
    messages.append(asked.message)
    return [dg.RunRequest(job_name=fetch_job_name(market))] if asked.asked else []


def _report(context: dg.SensorEvaluationContext, market: Market) -> tuple[bool, str]:
    """Report hours of the table for as long as a tick may take. Returns whether all are reported, and a message."""
    started = time.monotonic()
    news = ohlcv_news(context.instance, market, patience=PATIENCE_S)
    done, changed = 0, ""
    while done < len(news.unreported) and time.monotonic() - started < REPORTING_S:
        some = news.unreported.iloc[done : done + REPORTED_AT_A_TIME]
        report_news(context.instance, market, News(some, news.corrected.iloc[:0]))
        done += len(some)
    if len(news.corrected) or len(news.gone):
        report_news(context.instance, market, News(news.unreported.iloc[:0], news.corrected, news.gone))
        for hours, what in ((news.corrected.index, "were corrected"), (news.gone, "have no row any more")):
            changed += f"{len(hours)} hours {what}, {hours[0]} .. {hours[-1]}; " if len(hours) else ""
    if news.unreported.empty:
        return True, f"{changed}every hour of the table has been reported"
    rest = "" if done == len(news.unreported) else f", {len(news.unreported) - done} in the next ticks"
    hours = news.unreported.index
    return not rest, f"{changed}reported {done} hours, {hours[0]} .. {hours[done - 1]}{rest}"


def _ended_orphans(context: dg.SensorEvaluationContext) -> str:
    ended = end_orphans(context.instance)
    return f"ended runs without a process: {', '.join(ended)}; " if ended else ""
