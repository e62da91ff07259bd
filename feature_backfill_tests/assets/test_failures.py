"""What Dagster records, and so shows in its UI and on the console, of a step that does not succeed."""

import dagster as dg
import pytest

from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.dagster_internals.failures import step_retry
from feature_backfill.errors import DatabaseTakenError, UserError
from feature_backfill_tests.runs import failures


def events_of_a_step_that_raises(error, kind):
    """The events of one kind of a run whose only step raises an error, under a retry policy."""

    @dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
    def step():
        with user_errors_fail_the_step():
            raise error

    @dg.job
    def job():
        step()

    events = job.execute_in_process(raise_on_error=False).all_events
    return [event for event in events if event.event_type == kind]


@pytest.mark.parametrize("kind", [UserError, DatabaseTakenError])
def test_an_error_for_the_operator_is_one_line_and_is_not_retried(kind):
    (event,) = failed = events_of_a_step_that_raises(kind("no file x; create it"), dg.DagsterEventType.STEP_FAILURE)
    assert failures(failed) == ["no file x; create it"]
    assert event.step_failure_data.error_display_string == "no file x; create it"
    error = event.step_failure_data.error
    assert (error.message, list(error.stack), error.cause, error.context) == ("no file x; create it", [], None, None)
    assert error.cls_name == kind.__name__


def test_a_bug_keeps_its_traceback():
    (event,) = events_of_a_step_that_raises(ZeroDivisionError("bug"), dg.DagsterEventType.STEP_FAILURE)
    assert __file__ in event.step_failure_data.error_display_string


def test_a_retry_says_why_in_one_line():
    request = step_retry("no row yet; looking again in 0 s", max_retries=1, seconds_to_wait=0)
    (event,) = events_of_a_step_that_raises(request, dg.DagsterEventType.STEP_UP_FOR_RETRY)
    assert event.step_retry_data.error.to_string() == "no row yet; looking again in 0 s"
    assert event.step_retry_data.seconds_to_wait == 0
