"""The one decision about each hour."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_backfill.engine.soundness import SkipKind
from feature_backfill.planning.plan import Keep, plan_hours
from feature_backfill_tests.planning.facts import HOURS, LOOKBACK, OHLCV, SET, facts, hour, span, without

ASKED = span(40, HOURS - 1)


def fates(plan):
    return {
        "open": list(plan.open),
        "absent": list(plan.absent),
        "kept": list(plan.kept),
        "skipped": list(plan.skipped.index),
        "compute": list(plan.compute),
    }


def test_a_sound_market_is_computed_up_to_the_last_closed_hour():
    plan = plan_hours(SET, ASKED, facts(last_closed=hour(150)))
    assert list(plan.compute) == list(span(40, 150))
    assert list(plan.open) == list(span(151, HOURS - 1))


def test_a_missing_hour_is_absent_and_the_hours_that_look_back_on_it_are_skipped():
    plan = plan_hours(SET, ASKED, facts(without(100)))
    assert list(plan.absent) == [hour(100)]
    assert list(plan.skipped.index) == list(span(101, 100 + LOOKBACK - 1))
    assert {reason.kind for reason in plan.skipped} == {SkipKind.AFTER_GAP}
    assert "complete again from 2025-01-06 04:00" in plan.skipped.iloc[0].details
    assert list(plan.impossible.index) == list(span(100, 100 + LOOKBACK - 1))
    assert plan.impossible.iloc[0].kind is SkipKind.ABSENT


@pytest.mark.parametrize(("keep", "kept"), [(Keep.ALL, 11), (Keep.CURRENT, 9), (Keep.NONE, 0)])
def test_stored_rows_are_kept_as_the_mode_says(keep, kept):
    """Of eleven stored rows, the last two look back on an hour that was corrected."""
    corrected = OHLCV.copy()
    corrected.loc[99, "volume"] += 1
    plan = plan_hours(SET, ASKED, facts(corrected, span(90, 100), computed_from=OHLCV), keep)
    assert list(plan.kept) == list(span(90, 100)[:kept])
    assert list(plan.stale) == list(span(99, 100))
    assert plan.compute.union(plan.kept).equals(ASKED)


def test_a_stored_row_whose_lookback_lost_an_hour_is_stale_and_skipped():
    plan = plan_hours(SET, ASKED, facts(without(95), span(90, 100), computed_from=OHLCV), Keep.CURRENT)
    assert list(plan.stale) == list(span(95, 100))
    assert list(plan.absent) == [hour(95)]
    assert plan.kept.equals(span(90, 94))
    assert span(96, 100).isin(plan.skipped.index).all()


@pytest.mark.parametrize("stored", [facts(OHLCV, span(90, 100)), facts(without(95), span(90, 100), OHLCV, "others")])
def test_a_row_without_digest_or_of_other_settings_cannot_be_judged_stale(stored):
    assert plan_hours(SET, ASKED, stored, Keep.CURRENT).stale.empty


@given(
    gone=st.sets(st.integers(0, HOURS - 1), max_size=5),
    stored=st.sets(st.integers(40, HOURS - 1), max_size=60),
    closed=st.integers(30, HOURS - 1),
    keep=st.sampled_from(list(Keep)),
    bad=st.sets(st.integers(0, HOURS - 1), max_size=3),
)
def test_every_hour_has_exactly_one_fate(gone, stored, closed, keep, bad):
    ohlcv = OHLCV.copy()
    ohlcv.loc[sorted(bad), "low"] = np.nan
    ohlcv = ohlcv.drop(index=sorted(gone))
    hours = pd.DatetimeIndex([hour(place) for place in sorted(stored)], dtype="datetime64[us]")
    plan = plan_hours(SET, ASKED, facts(ohlcv, hours, OHLCV, last_closed=hour(closed)), keep)
    every = [each for some in fates(plan).values() for each in some]
    assert sorted(every) == list(ASKED)
    assert len(set(every)) == len(every)
    assert plan.kept.isin(hours).all()
    assert list(plan.digests.index) == list(plan.compute)


@given(count=st.integers(-1, 200))
def test_at_most_counts_hours_to_compute_only(count):
    whole = plan_hours(SET, ASKED, facts(without(100), span(90, 95)))
    plan = whole.at_most(count)
    if 0 < count < len(whole.compute):
        assert list(plan.compute) == list(whole.compute[:count])
        assert plan.kept.equals(whole.kept[whole.kept <= plan.compute[-1]])
        assert len(plan.digests) == count
    else:
        assert plan is whole
