"""The two sensors, which look at all markets: `ohlcv` shows the rows that there are, `new_hours` asks for runs.

Both are on by default, so that nothing must be switched on for new features to become current. A market, or a feature
set, whose YAML says `automatic: false` is left alone. The amount of work stays small: a feature set without stored rows
begins 49 hours back. If everything is stored, or the OHLCV table does not exist yet, a tick only reports that. A tick
requests more in five cases:

* Hours without a row between the first and the last stored hour, as they were when the sensor first looked.
* Hours that a run was meant to compute and did not.
* History that the job `history` wishes for.
* Files in a market's folder.
* A fetch from a market's exchange, if the table is behind.

Any other history is filled by a backfill that the operator starts.

A tick does not fail if a database is locked or missing. It reports the problem, and the next tick tries again. It looks
at one market after another for a limited time; the next tick goes on where it stopped, so that no market waits for ever
for others that take long. At a market where no file has changed, a look costs the `stat` of its files.
"""

import os
from collections.abc import Mapping, Sequence

import dagster as dg
import pandas as pd

from feature_backfill.assets.names import features_key
from feature_backfill.automation.fetching import is_fetching
from feature_backfill.automation.history import wished_history
from feature_backfill.automation.incremental import Cursor, next_request
from feature_backfill.automation.jobs import job_name
from feature_backfill.automation.looking import WAIT_S, Round, Sayings
from feature_backfill.automation.new_hours import new_hours_config
from feature_backfill.automation.ohlcv_look import NOTHING_CHANGED, OhlcvCursor, look_at_ohlcv
from feature_backfill.automation.runs import NEW_HOURS, Runs
from feature_backfill.config import FeatureSet, Market
from feature_backfill.dagster_internals.launched import launches_elsewhere
from feature_backfill.dagster_internals.listed_hours import hours_as_text
from feature_backfill.dagster_internals.notes import read_notes, write_notes
from feature_backfill.dagster_internals.orphans import end_orphans
from feature_backfill.errors import RunError, UserError
from feature_backfill.hours import utc_now
from feature_backfill.planning.sharing import Wish, shared_runs
from feature_backfill.store.database import waiting_at_most

OHLCV = "ohlcv"
"""The name of the sensor that shows OHLCV."""

INTERVAL_S = 30
NEW_HOURS_INTERVAL_S = 10
"""An hour waits for its row for half of it on average."""


def new_hours_sensor(markets: Sequence[Market]) -> dg.SensorDefinition:
    """Requests the hours of all feature sets that can be computed and are not stored. Markets share its runs."""
    followed = [market for market in markets if market.automatic_sets]
    assets = [features_key(market, feature_set) for market in followed for feature_set in market.feature_sets]

    @dg.sensor(
        name=NEW_HOURS,
        job_name=NEW_HOURS,
        minimum_interval_seconds=NEW_HOURS_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Of every feature set, requests the hours from the last stored one to the last closed one, and older hours "
            "that can be computed now because a gap was filled, a row was deleted or a run failed. `automatic: false` "
            "in a market's YAML leaves it out."
        ),
    )
    def new_hours(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        ended = _ended_orphans(context)
        runs, sayings, markets = Runs(context.instance, assets), Sayings(), Round(followed, context.cursor)
        notes = read_notes(
            context.instance, [_note(market, each) for market in followed for each in market.feature_sets]
        )
        wished = wished_history(context.instance, followed)
        wanted: dict[str, dict[str, pd.DatetimeIndex]] = {}
        wishes: list[Wish] = []
        for market in markets:
            hours, failures = _look(context, runs, market, notes, wished, sayings)
            if hours:
                wanted[market.name] = hours
                wishes.append(Wish(market.name, sum(map(len, hours.values())), failures))
        requests = [_request(run, wanted) for run in shared_runs(wishes, _cores(context.instance, len(wishes)))]
        return _result(context, requests, f"{ended}{sayings.text(markets.left)}", markets.cursor)

    return new_hours


def _look(
    context: dg.SensorEvaluationContext,
    runs: Runs,
    market: Market,
    notes: Mapping[str, str],
    wished: Mapping[str, pd.Timestamp],
    sayings: Sayings,
) -> tuple[dict[str, pd.DatetimeIndex], int]:
    """The hours to request of a market, by job, and how many runs in a row failed on some of them."""
    if is_fetching(runs, market):
        sayings.say(market.name, "a fetch is running, which computes the new hours itself", quiet=True)
        return {}, 0
    hours, failures, changed = {}, 0, {}
    for feature_set in market.automatic_sets:
        job, note = job_name(market, feature_set), _note(market, feature_set)
        cursor = Cursor.model_validate_json(notes[note]) if note in notes else Cursor()
        try:
            with waiting_at_most(WAIT_S):
                tick = next_request(runs, market, feature_set, cursor, utc_now(), wished.get(job))
        except (UserError, RunError) as error:
            sayings.say(job, f"trying again at the next tick: {error}")
            continue
        except Exception as error:  # what breaks at one market must not keep the others waiting
            context.log.exception(f"{job} broke")
            sayings.say(job, f"trying again at the next tick: {error!r}")
            continue
        sayings.say(job, tick.message, tick.settled)
        if tick.cursor != cursor:
            changed[note] = tick.cursor.model_dump_json()
        if tick.ranges:
            hours[job], failures = tick.hours, max(failures, tick.failures)
    write_notes(context.instance, changed)
    return hours, failures


def _cores(instance: dg.DagsterInstance, markets: int) -> int:
    """On how many cores the runs of some markets may execute: elsewhere, as many as there are runs worth starting."""
    return markets if launches_elsewhere(instance) else os.cpu_count() or 1


def _request(run: Sequence[str], wanted: Mapping[str, Mapping[str, pd.DatetimeIndex]]) -> dg.RunRequest:
    """The request of a run for some markets."""
    hours = {job: hours_as_text(hours) for market in run for job, hours in wanted[market].items()}
    return dg.RunRequest(run_config=new_hours_config(hours))


def ohlcv_sensor(markets: Sequence[Market], bringing: Sequence[dg.JobDefinition]) -> dg.SensorDefinition:
    """Reports the hours of all OHLCV tables to Dagster, and requests runs of the jobs that fill tables.

    bringing: the jobs that import the files in a market's folder, or fetch from its exchange.
    """
    followed = [market for market in markets if market.automatic]

    @dg.sensor(
        name=OHLCV,
        jobs=list(bringing) or None,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Shows the hours of every market's OHLCV table as materialized; an hour without a row stays missing. "
            "Imports the files of folders when they appear or change. Starts a fetch from an exchange when a table is "
            "behind. "
            "`automatic: false` in a market's YAML leaves it out."
        ),
    )
    def ohlcv(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        ended = _ended_orphans(context)
        runs, sayings, markets = Runs(context.instance), Sayings(), Round(followed, context.cursor)
        notes = read_notes(context.instance, [f"{OHLCV}/{market.name}" for market in followed])
        requests: list[dg.RunRequest] = []
        for market in markets:
            note = f"{OHLCV}/{market.name}"
            before = notes.get(note, "")
            cursor = OhlcvCursor.model_validate_json(before) if before else OhlcvCursor()
            try:
                with waiting_at_most(WAIT_S):
                    asked, message = look_at_ohlcv(runs, market, cursor)
            except Exception as error:  # what breaks at one market must not keep the others waiting
                context.log.exception(f"{market.name} broke")
                sayings.say(market.name, f"trying again at the next tick: {error!r}")
                continue
            requests += asked
            sayings.say(market.name, message, quiet=message == NOTHING_CHANGED)
            if cursor.model_dump_json() != before:
                write_notes(context.instance, {note: cursor.model_dump_json()})
        return _result(context, requests, f"{ended}{sayings.text(markets.left)}", markets.cursor)

    return ohlcv


def _result(
    context: dg.SensorEvaluationContext, requests: list[dg.RunRequest], message: str, cursor: str
) -> dg.SensorResult:
    if not requests:
        return dg.SensorResult(skip_reason=message, cursor=cursor)
    context.log.info(message)
    return dg.SensorResult(run_requests=requests, cursor=cursor)


def _note(market: Market, feature_set: FeatureSet) -> str:
    return f"{NEW_HOURS}/{job_name(market, feature_set)}"


def _ended_orphans(context: dg.SensorEvaluationContext) -> str:
    ended = end_orphans(context.instance)
    return f"ended runs without a process: {', '.join(ended)}; " if ended else ""
