"""Sensors: one a feature set that asks for new hours and for those that can be computed now, one a market for OHLCV.

All run by default: a newcomer's features become current without anything being switched on. That surprises nobody, for
a feature set of which nothing is stored begins 49 hours back, and where everything is stored, or the OHLCV table does
not exist yet, a tick does nothing but say so. More is asked for in three cases: hours that lack a row between the first
and the last one that are stored when a sensor first looks; hours that some run was meant to compute and did not; and
files in a market's folder. Other history is a backfill, and started by hand.

A tick never fails for a database that is taken or missing: it says so, and the next one tries again.
"""

import time

import dagster as dg
import pandas as pd
from pydantic import BaseModel

from feature_backfill.assets.ohlcv import report_present, unreported_hours
from feature_backfill.automation.changes import database_state
from feature_backfill.automation.imports import FILES_TAG, import_job_name, next_import
from feature_backfill.automation.incremental import PATIENCE_S, Cursor, next_request
from feature_backfill.automation.jobs import job_name, range_tags
from feature_backfill.config import FeatureSet, Market
from feature_backfill.dagster_internals.orphans import end_orphans
from feature_backfill.errors import UserError
from feature_backfill.hours import last_closed_hour, partition_key

INTERVAL_S = 30
REPORTED_AT_A_TIME = 1000
REPORTING_S = 20.0
"""How long a tick goes on reporting hours of OHLCV: Dagster allows it 60 s, and without batches an hour takes 10 ms."""


class OhlcvCursor(BaseModel):
    """What a tick remembers. imported: the states of the files that are imported, by name.

    reported: the state of the database in which every hour was reported.
    """

    imported: dict[str, str] = {}
    reported: str = ""


def incremental_sensor(
    market: Market, feature_set: FeatureSet, job: "dg.UnresolvedAssetJobDefinition"
) -> dg.SensorDefinition:
    """Asks for the hours of a feature set that can be computed and are not stored, a run for each contiguous range."""

    @dg.sensor(
        name=f"{job_name(market, feature_set)}__new_hours",
        job=job,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"{feature_set.key}: from the last stored hour to the last closed hour of {market.source.table}, and hours "
            "behind that can be computed now: a gap that was filled, a row that was deleted, a run that failed."
        ),
    )
    def new_hours(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        ended = _ended_orphans(context)
        cursor = Cursor.model_validate_json(context.cursor) if context.cursor else Cursor()
        try:
            request = next_request(context.instance, market, feature_set, cursor, _now())
        except UserError as error:
            return dg.SensorResult(skip_reason=f"{ended}not this time: {error}", cursor=context.cursor)
        written = request.cursor.model_dump_json()
        if not request.ranges:
            return dg.SensorResult(skip_reason=f"{ended}{request.message}", cursor=written)
        context.log.info(f"{ended}{request.message}")
        return dg.SensorResult(
            run_requests=[dg.RunRequest(tags=range_tags(first, last)) for first, last in request.ranges],
            cursor=written,
        )

    return new_hours


def ohlcv_sensor(market: Market, import_job: dg.JobDefinition | None) -> dg.SensorDefinition:
    """Has the files of the market's folder imported, and reports the hours that the OHLCV table holds to Dagster."""

    @dg.sensor(
        name=f"{market.name}__ohlcv",
        jobs=None if import_job is None else [import_job],
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Shows the hours of {market.source.table} as materialized; what the table lacks stays missing."
        + (f" Imports files of {market.source.folder} as they come or change." if import_job else ""),
    )
    def ohlcv(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        messages = [_ended_orphans(context).removesuffix("; ")]
        cursor = OhlcvCursor.model_validate_json(context.cursor) if context.cursor else OhlcvCursor()
        requests = []
        if import_job is not None:
            asked = next_import(context.instance, market, cursor.imported, _now())
            cursor.imported = asked.imported
            messages.append(asked.message)
            if asked.files:
                run_config = {"ops": {f"{market.name}__import": {"config": {"files": asked.files}}}}
                requests.append(
                    dg.RunRequest(
                        job_name=import_job_name(market), run_config=run_config, tags={FILES_TAG: asked.digest}
                    )
                )
        state = f"{database_state(market.source.database)} {partition_key(last_closed_hour(_now()))}"
        try:
            complete, message = (True, "nothing changed") if cursor.reported == state else _report(context, market)
            cursor.reported = state if complete else ""
            messages.append(message)
        except UserError as error:
            messages.append(f"not this time: {error}")
        message = "; ".join(filter(None, messages))
        if not requests:
            return dg.SensorResult(skip_reason=message, cursor=cursor.model_dump_json())
        context.log.info(message)
        return dg.SensorResult(run_requests=requests, cursor=cursor.model_dump_json())

    return ohlcv


def _report(context: dg.SensorEvaluationContext, market: Market) -> tuple[bool, str]:
    """Report hours of the table as long as a tick may take; whether that were all, and what was done."""
    started = time.monotonic()
    hours = unreported_hours(context.instance, market, patience=PATIENCE_S)
    done = 0
    while done < len(hours) and time.monotonic() - started < REPORTING_S:
        report_present(context.instance, market, hours[done : done + REPORTED_AT_A_TIME])
        done = min(done + REPORTED_AT_A_TIME, len(hours))
    if hours.empty:
        return True, "every hour of the table is reported"
    rest = "" if done == len(hours) else f", {len(hours) - done} in the next ticks"
    return not rest, f"reported {done} hours, {hours[0]} .. {hours[done - 1]}{rest}"


def _ended_orphans(context: dg.SensorEvaluationContext) -> str:
    ended = end_orphans(context.instance)
    return f"ended runs whose process is gone: {', '.join(ended)}; " if ended else ""


def _now() -> pd.Timestamp:
    return pd.Timestamp.now(tz="UTC").tz_localize(None)
