"""One count of hours, for all that is said about them."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from feature_backfill.hours import HOUR
from feature_backfill.planning.counting import count_hours
from feature_backfill.planning.plan import plan_hours
from feature_backfill.planning.standing import Standing, whole_stretch
from feature_backfill_tests.planning.facts import FIRST, HOURS, LAST, OHLCV, SET, facts, hour, span, without

WHOLE = span(0, HOURS - 1)


def counted(ohlcv, stored, last_closed=LAST):
    plan = plan_hours(SET, WHOLE.difference(stored), facts(ohlcv, stored, last_closed=last_closed))
    return count_hours(plan, FIRST, LAST, also_stored=len(stored))


def test_every_state_is_counted_in_one_order():
    ohlcv = without(100, 101)
    ohlcv.loc[150, "low"] = -1.0
    counts = counted(ohlcv, span(90, 99), last_closed=hour(HOURS - 3))
    assert counts.as_dict() == {
        "first": str(FIRST),
        "last": str(LAST),
        "hours": HOURS,
        "stored": 10,
        "can be computed": 99 - 23 - 9 + 150 - 125 + HOURS - 2 - 174,
        "warm-up": 23,
        "after a gap": 23,
        "bad row": 24,
        "no row in OHLCV": 2,
        "not closed yet": 2,
    }
    assert str(counts).startswith("2025-01-01 00:00 .. 2025-01-09 07:00, 200 hours: 10 stored, ")
    assert counts.skipped.as_dict()["hours"] == 23 + 23 + 24 + 2


def test_settings_under_which_an_hour_has_no_bar_are_what_can_never_be_computed():
    short = SET.model_copy(update={"base_hours": 2, "timeframes": ("4H",)})
    plan = plan_hours(short, span(8, 11), facts())
    assert count_hours(plan, hour(8), hour(11)).states == {"can be computed": 2, "can never be computed": 2}


@given(
    gone=st.sets(st.integers(0, HOURS - 1), max_size=6),
    bad=st.sets(st.integers(0, HOURS - 1), max_size=4),
    stored=st.sets(st.integers(0, HOURS - 1), max_size=60),
    closed=st.integers(0, HOURS - 1),
)
def test_the_states_add_up_to_the_stretch(gone, bad, stored, closed):
    ohlcv = OHLCV.copy()
    ohlcv.loc[sorted(bad), "low"] = -1.0
    rows = pd.DatetimeIndex([hour(place) for place in sorted(stored)], dtype="datetime64[us]")
    counts = counted(ohlcv.drop(index=sorted(gone)), rows, hour(closed))
    assert sum(counts.states.values()) == HOURS
    assert counts.states.get("stored", 0) == len(stored)


def test_hours_behind_are_behind_the_clock():
    closed = LAST + 1000 * HOUR
    now = Standing(hour(90), hour(190), closed, LAST, counted(OHLCV, span(90, 190)), span(23, 89), (), span(0, 0)[:0])
    assert (now.hours_behind, now.ohlcv_hours_behind) == (1009, 1000)
    assert now.lost.empty, "what lies before the oldest row is the operator's choice"


def test_the_whole_stretch_goes_from_the_first_hour_with_ohlcv_to_the_last_closed_one():
    assert whole_stretch(hour(5), (hour(0), LAST), hour(50)) == (hour(5), hour(50))
    assert whole_stretch(hour(0), (hour(7), LAST), LAST + HOUR) == (hour(7), LAST)
    assert whole_stretch(LAST + HOUR, (FIRST, LAST), LAST + HOUR) is None
