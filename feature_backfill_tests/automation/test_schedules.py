"""The clock: the hour that has just closed, its row late, its row missing."""

from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR
from feature_backfill_tests.markets import LAST, append_ohlcv, small_market, stored
from feature_backfill_tests.runs import failures

NEW = LAST + HOUR


@pytest.fixture
def market(tmp_path):
    return small_market(tmp_path, schedule={"minute": 7, "retries": 2, "wait_seconds": 0})


@pytest.fixture
def run(instance, market):
    """Creates the run that the schedule asks for seven minutes after an hour."""

    def create():
        definitions = build_definitions([market])
        schedule = definitions.get_repository_def().get_schedule_def("small__short__hourly")
        moment = datetime(2025, 1, 21, 1, 7, tzinfo=UTC)
        with dg.build_schedule_context(
            instance=instance, scheduled_execution_time=moment, repository_def=definitions.get_repository_def()
        ) as context:
            (request,) = schedule.evaluate_tick(context).run_requests
        job = definitions.resolve_job_def("small__short")
        return job, instance.create_run_for_job(job, tags=dict(request.tags))

    return create


def events(job, run, instance, on_retry):
    """Every event of a run; on_retry is called at each retry of a step."""
    seen = []
    for event in execute_run_iterator(InMemoryJob(job), run, instance):
        seen.append(event)
        if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY:
            on_retry()
    return seen


def retries(seen):
    return [event for event in seen if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY]


def test_the_hour_that_has_just_closed_is_computed(instance, market, run):
    append_ohlcv(market, NEW)
    seen = events(*run(), instance, lambda: None)
    assert not retries(seen)
    assert list(stored(market)["ts"]) == [NEW]


def test_a_late_row_is_waited_for(instance, market, run):
    seen = events(*run(), instance, lambda: append_ohlcv(market, NEW))
    assert len(retries(seen)) == 1
    assert list(stored(market)["ts"]) == [NEW]


def test_a_row_that_does_not_come_fails_the_run_and_says_so(instance, market, run):
    job, created = run()
    seen = events(job, created, instance, lambda: None)
    assert len(retries(seen)) == 2
    (message,) = failures(seen)
    assert f"has no row of {NEW} yet, after 2 retries" in message
    assert instance.get_run_by_id(created.run_id).status == dg.DagsterRunStatus.FAILURE
    assert stored(market).empty


def test_it_is_stopped_until_switched_on(market):
    schedule = build_definitions([market]).get_repository_def().get_schedule_def("small__short__hourly")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == "7 * * * *"
