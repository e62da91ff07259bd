"""From start and end to the hours of a range."""

import pandas as pd
import pytest

from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR
from feature_backfill.planning.reach import DEFAULT_REACH, first_watched_hour, resolved_range
from feature_backfill_tests.planning.facts import FIRST, LAST, NONE, hour, span

MINUTES = pd.Timedelta(minutes=20)


def test_a_range_is_rounded_to_the_hours_inside_it():
    assert resolved_range(hour(5) + MINUTES, hour(9) + MINUTES, LAST) == (hour(6), hour(9))


def test_without_start_and_end_it_is_the_49_hours_to_the_newest():
    assert resolved_range(None, None, LAST) == (LAST - 48 * HOUR, LAST)
    assert resolved_range(None, hour(90), LAST) == (hour(42), hour(90))


@pytest.mark.parametrize(("start", "end"), [(hour(9), hour(8)), (hour(5) + MINUTES, hour(5) + 2 * MINUTES)])
def test_a_range_without_an_hour_is_refused(start, end):
    with pytest.raises(UserError, match="is after the last hour"):
        resolved_range(start, end, LAST)


def test_a_sensor_watches_from_where_it_first_looked():
    assert first_watched_hour(NONE, LAST, None, FIRST) == LAST - DEFAULT_REACH
    assert first_watched_hour(NONE, hour(10), None, FIRST) == FIRST
    assert first_watched_hour(span(80, 90), LAST, None, FIRST) == hour(80)
    assert first_watched_hour(span(10, 90), LAST, hour(80), FIRST) == hour(80)
    assert first_watched_hour(span(10, 90), LAST, hour(80), hour(85)) == hour(85)
