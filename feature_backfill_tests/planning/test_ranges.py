"""How hours become the ranges of runs, for a command and for a sensor."""

from hypothesis import given
from hypothesis import strategies as st

from feature_backfill.hours import hour_range
from feature_backfill.planning.plan import plan_hours
from feature_backfill.planning.ranges import ranges_of_command, ranges_of_sensor
from feature_backfill.planning.request import request_hours
from feature_backfill_tests.planning.facts import HOURS, NONE, SET, facts, hour, span, without

ASKED = span(40, HOURS - 1)


def test_a_command_runs_over_what_cannot_be_computed_and_around_what_is_stored():
    plan = plan_hours(SET, ASKED, facts(without(100), stored=span(60, 70)))
    assert ranges_of_command(plan, listed=False) == [(hour(40), hour(59)), (hour(71), hour(HOURS - 1))]


def test_a_list_runs_its_own_hours_only():
    listed = span(50, 52).append(span(80, 80))
    assert ranges_of_command(plan_hours(SET, listed, facts()), listed=True) == [
        (hour(50), hour(52)),
        (hour(80), hour(80)),
    ]


def test_nothing_runs_where_all_is_stored_and_reasons_alone_where_nothing_can_be_computed():
    assert ranges_of_command(plan_hours(SET, ASKED, facts(stored=ASKED)), listed=False) == []
    skipped = plan_hours(SET, span(101, 110), facts(without(100)))
    assert ranges_of_command(skipped, listed=False) == [(hour(101), hour(110))]
    partly = plan_hours(SET, span(99, 110), facts(without(100), stored=span(99, 99)))
    assert ranges_of_command(partly, listed=False) == []


def test_a_sensor_records_the_reasons_of_new_hours_but_not_those_before_old_ones():
    plan = plan_hours(SET, span(100, 150), facts(without(100)))
    assert ranges_of_sensor(plan, plan.compute, NONE, span(60, 99)) == [(hour(100), hour(150))]
    assert ranges_of_sensor(plan, plan.compute, NONE, span(60, 99).append(span(151, 160))) == [(hour(124), hour(150))]


@given(
    stored=st.sets(st.integers(40, 80)),
    moving=st.sets(st.integers(40, 80)),
    waiting=st.sets(st.integers(40, 80)),
    at_most=st.integers(1, 50),
)
def test_a_request_holds_the_oldest_free_hours_and_no_other_that_can_be_computed(stored, moving, waiting, at_most):
    asked, stored, moving, waiting = (
        span(40, 80)[[place - 40 for place in sorted(places)]]
        for places in (set(range(40, 81)) - stored, stored, moving, waiting)
    )
    if asked.empty:
        return
    plan = plan_hours(SET, asked, facts(stored=stored))
    request = request_hours(plan, stored, moving, waiting, at_most)
    free = plan.compute.difference(moving).difference(waiting)
    assert list(request.hours) == list(free[:at_most])
    assert request.later == max(0, len(free) - at_most)
    covered = [each for first, last in request.ranges for each in hour_range(first, last)]
    assert covered == list(request.hours)
