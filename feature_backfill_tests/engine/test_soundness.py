"""The reasons of hours that cannot be computed: which hours, one text for one cause, and until when."""

import re

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feature_backfill.engine.bars import HourlyRows
from feature_backfill.engine.lookback import Lookback
from feature_backfill.engine.soundness import SkipKind, skip_reasons
from feature_backfill.hours import HOUR, hour_range
from feature_backfill.sources.synthetic import synthetic_ohlcv

FIRST, HOURS = pd.Timestamp("2025-01-01"), 120
LATER = 60
"""Sound hours that come after the known ones, to see from when on hours can really be computed."""
OHLCV = synthetic_ohlcv(FIRST, HOURS + LATER, seed=1)
LOOKBACK = 12
EVERY = hour_range(FIRST - 5 * HOUR, FIRST + (HOURS + LATER) * HOUR)

places = st.integers(0, HOURS - 1)
some = {
    "gone": st.sets(places, max_size=8),
    "bad": st.sets(places, max_size=6),
    "astray": st.sets(places, max_size=3),
    "base": st.sampled_from([1, 2, LOOKBACK]),
}


def market(gone=(), bad=(), astray=()):
    """Hours that lack their row, hours whose row is bad, hours with a row at half past."""
    rows = OHLCV.copy()
    rows.loc[sorted(bad), "low"] = -1.0
    half_past = OHLCV.loc[sorted(astray)].assign(timestamp=lambda rows: rows["timestamp"] + HOUR / 2)
    return pd.concat([rows.drop(index=sorted(gone)), half_past])


def reasons(ohlcv, targets=EVERY, base=LOOKBACK, row_before=None):
    return skip_reasons(targets, HourlyRows.of(ohlcv), Lookback(base), ("1H",), row_before)


def known(ohlcv):
    return ohlcv[ohlcv["timestamp"] < FIRST + HOURS * HOUR]


def hour(place):
    return FIRST + place * HOUR


@given(**some)
def test_an_hour_is_skipped_if_its_lookback_lacks_a_row_or_has_a_bad_one(gone, bad, astray, base):
    ohlcv = market(gone, bad, astray)
    stamps = set(ohlcv["timestamp"])
    expected = []
    for target in EVERY:
        lookback = hour_range(target - (base - 1) * HOUR, target)
        lacks = not stamps.issuperset(lookback)
        is_bad = any(hour(place) in lookback for place in bad - gone)
        between = any(hour(place) in lookback[:-1] for place in astray)
        expected += [target] if lacks or is_bad or between else []
    assert list(reasons(ohlcv, base=base).index) == expected


@given(**some)
@example(gone=set(), bad={0, 1, 3}, astray={0, 2}, base=1)
def test_the_hour_that_a_reason_names_is_the_first_that_can_be_computed(gone, bad, astray, base):
    ohlcv = market(gone - {HOURS - 1}, bad, astray)
    truth = reasons(ohlcv, base=base).index
    for target, reason in reasons(known(ohlcv), base=base).items():
        if reason.kind is not SkipKind.ABSENT:
            named = pd.Timestamp(re.search(r"(?:sound|complete)(?: again)? from (\S+ \S+?)(?:,|$)", str(reason))[1])
            waits = hour_range(target, named)
            assert waits.isin(truth).tolist() == [True] * (len(waits) - 1) + [False]


@given(**some, start=places)
def test_rows_that_are_cut_to_the_lookbacks_give_the_same_reasons(gone, bad, astray, base, start):
    ohlcv = known(market(gone, bad, astray))
    targets = hour_range(hour(start), EVERY[-1])
    begin = Lookback(base).first_hour(targets[0])
    earlier = ohlcv.loc[(ohlcv["timestamp"] < begin) & (ohlcv["timestamp"].dt.minute == 0), "timestamp"]
    before = earlier.max() if len(earlier) else None
    cut = reasons(ohlcv[ohlcv["timestamp"] >= begin], targets, base, before)
    whole = reasons(ohlcv, targets, base)
    gaps_and_warm_up = whole.map(lambda reason: reason.kind is not SkipKind.BAD_ROW)
    assert cut[gaps_and_warm_up].equals(whole[gaps_and_warm_up])
    assert list(cut.index) == list(whole.index)


def one_text(found, first, last):
    """The text of all hours from one place to another, which must be one."""
    texts = set(map(str, found[hour(first) : hour(last)]))
    assert len(found[hour(first) : hour(last)]) == last - first + 1
    (text,) = texts
    return text


def test_the_first_hours_are_a_warm_up():
    assert one_text(reasons(OHLCV), 0, LOOKBACK - 2) == (
        "warm-up: OHLCV begins at 2025-01-01 00:00; the lookback is complete from 2025-01-01 11:00"
    )


def test_the_hours_after_a_gap_have_one_text_and_those_in_it_another():
    found = reasons(market(gone=range(50, 57)))
    gap = "OHLCV lacks 2025-01-03 02:00 .. 08:00 (7 hours)"
    assert one_text(found, 50, 56) == f"no row in OHLCV: {gap}"
    assert one_text(found, 57, 67) == f"after a gap: {gap}; the lookback is complete again from 2025-01-03 20:00"
    assert len(found[hour(20) :]) == 18 + 1, "the last hour of the targets comes after OHLCV"


def test_the_newest_of_several_gaps_decides():
    found = reasons(market(gone=[50, 51, 55]))
    assert one_text(found, 52, 54).endswith(
        "OHLCV lacks 2025-01-03 02:00 .. 03:00 (2 hours); "
        "the lookback is complete again from 2025-01-03 19:00, as more gaps or bad rows follow"
    )
    newest = "after a gap: OHLCV lacks 2025-01-03 07:00 (1 hour)"
    assert one_text(found, 56, 62) == (
        f"{newest}, the newest of 2 gaps of 3 hours in the lookback; the lookback is complete again from "
        "2025-01-03 19:00"
    )
    assert one_text(found, 63, 66) == f"{newest}; the lookback is complete again from 2025-01-03 19:00"


def test_successive_bad_rows_are_one_stretch():
    found = reasons(market(bad=[40, 41, 42, 48]))
    assert one_text(found, 40, 47) == (
        "bad row: 2025-01-02 16:00 .. 18:00 (3 hours), 3 rows, the newest: 2025-01-02 18:00 low is not positive; "
        "the lookback is sound again from 2025-01-03 12:00, as more gaps or bad rows follow"
    )
    assert "it is the newest of 4 bad rows in the lookback" in one_text(found, 48, 53)
    assert one_text(found, 54, 59) == (
        "bad row: 2025-01-03 00:00 low is not positive; the lookback is sound again from 2025-01-03 12:00"
    )


def test_what_lies_beyond_the_newest_row_is_said_as_a_forecast():
    found = reasons(known(market(gone=[HOURS - 3])))
    assert one_text(found, HOURS - 2, HOURS - 1).endswith("the lookback will be complete again from 2025-01-06 09:00")
    assert one_text(found, HOURS, HOURS + 9) == "no row in OHLCV: OHLCV ends at 2025-01-05 23:00"


@pytest.mark.parametrize(
    ("rows", "text"), [(OHLCV.iloc[:0], "OHLCV has no row"), (OHLCV.iloc[10:], "OHLCV begins at 2025-01-01 10:00")]
)
def test_hours_without_a_row_before_all_others(rows, text):
    assert str(reasons(rows)[FIRST]) == f"no row in OHLCV: {text}"


def test_what_is_a_warm_up_without_earlier_rows_is_a_wait_after_a_gap_with_them():
    cut = OHLCV.iloc[30:]
    assert reasons(cut)[hour(30)].kind is SkipKind.WARM_UP
    found = reasons(cut, hour_range(hour(30), EVERY[-1]), row_before=hour(3))
    gap = "2025-01-01 04:00 .. 2025-01-02 05:00 (26 hours)"
    assert one_text(found, 30, 40).startswith(f"after a gap: OHLCV lacks {gap}")
