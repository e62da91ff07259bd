"""What a report shows of a real market, held against its tables with plain pandas."""

import numpy as np
import pandas as pd
import pytest

from feature_backfill.checks.market import look_at
from feature_backfill.config import KnownGap
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, hour_range
from feature_backfill.reports.candles import candle_hours, candles_of
from feature_backfill.reports.contents import Choice, contents_of
from feature_backfill.reports.coverage import ABSENT, SKIPPED, STALE, STATES
from feature_backfill.store.database import connect
from feature_backfill.store.fetched import note_absent
from feature_backfill.store.reading import read_features
from feature_backfill_tests.markets import FIRST, GAP, HOURS, LAST, ohlcv_of, small_market
from feature_backfill_tests.reports.conftest import CORRECTED, DELETED


@pytest.fixture(scope="module")
def contents(market):
    feature_set = market.feature_sets[0]
    return contents_of(market, feature_set, Choice(days=5, panes=["close_rsi_14_4H"]), look_at(market, feature_set))


def test_the_calendar_has_every_hour_in_its_state(contents, market):
    coverage = contents.coverage
    expected = pd.Series("stored", hour_range(FIRST, LAST))
    expected[: FIRST + 46 * HOUR] = SKIPPED  # a lookback of 48 hours
    expected[GAP : GAP + 47 * HOUR] = SKIPPED
    expected[GAP] = ABSENT
    expected[DELETED] = "can be computed"
    expected[CORRECTED:] = STALE
    states = coverage.states.map(lambda state: STATES[state])
    pd.testing.assert_series_equal(states, expected, check_names=False, check_freq=False, check_dtype=False)
    assert coverage.calendar.shape == (24, HOURS // 24)
    assert coverage.calendar.loc[GAP.hour, GAP.normalize()] == STATES.index(ABSENT)
    assert coverage.calendar.notna().all(axis=None)


def test_every_hour_that_is_not_stored_well_has_its_reason(contents):
    reasons = contents.coverage.reasons
    assert set(reasons.index) == set(contents.coverage.states[contents.coverage.states > 0].index)
    assert reasons[FIRST].startswith("warm-up: OHLCV begins at")
    assert reasons[GAP + HOUR].startswith("after a gap: OHLCV lacks 2025-01-11 05:00 (1 hour)")
    assert "corrected" in reasons[LAST]
    assert "no row is stored" in reasons[DELETED]


def test_why_ohlcv_lacks_an_hour_is_said_where_it_is_known(market, feature_set):
    with connect(market.source.database, read_only=False) as connection:
        note_absent(connection, market.source.table, hour_range(GAP, GAP), LAST)
    reasons = contents_of(market, feature_set, Choice(), []).coverage.reasons
    assert reasons[GAP].endswith("(1 hour); the exchange does not have it")
    assert "exchange" not in reasons[GAP + HOUR]
    known = market.model_copy(update={"known_gaps": (KnownGap(first=GAP, last=GAP + HOUR, note="it was down"),)})
    coverage = contents_of(known, feature_set, Choice(), []).coverage
    reasons = coverage.reasons
    assert reasons[GAP].endswith("(1 hour); a known gap: it was down")
    assert coverage.noted == ["2025-01-11 05:00 (1 hour): a known gap: it was down"]
    assert coverage.texts.loc[GAP.hour, GAP.normalize()] == "absent; a known gap: it was down"
    assert coverage.texts.loc[GAP.hour + 1, GAP.normalize()] == "skipped"
    assert "known gap" not in reasons[GAP + HOUR]  # it has its row


def test_several_hours_are_in_the_state_of_the_worst(contents):
    worst = contents.coverage.worst(24)
    assert len(worst) == HOURS // 24
    day = worst.loc[GAP.normalize()]
    assert (STATES[day["state"]], day["reason"]) == (ABSENT, "no row in OHLCV: OHLCV lacks 2025-01-11 05:00 (1 hour)")
    quiet = worst.loc[FIRST + 6 * 24 * HOUR]
    assert (quiet["state"], quiet["reason"]) == (0, "")


def test_candles_are_the_hours_of_the_last_days_with_the_chosen_features(contents, market):
    bars = contents.candles.bars
    ohlcv = ohlcv_of(market).set_index("timestamp")[-120:]
    pd.testing.assert_frame_equal(bars, ohlcv, check_freq=False, check_names=False)
    expected = read_features(market.target_database, "short", columns=["close_rsi_14_4H"], dtype="float32")
    pd.testing.assert_frame_equal(contents.candles.features, expected[-120:], check_freq=False, check_names=False)


def test_long_stretches_become_longer_candles(market):
    ohlcv = ohlcv_of(market).set_index("timestamp")
    every = hour_range(FIRST, FIRST + 1999 * HOUR)
    long = ohlcv.reindex(every)
    features = pd.DataFrame({"x": np.arange(10.0)}, hour_range(FIRST, FIRST + 9 * HOUR))
    candles = candles_of(long, features)
    assert candles.bar_hours == 2
    assert len(candles.bars) == 1000
    pair = ohlcv.iloc[2:4]
    expected = [
        pair["open"].iloc[0],
        pair["high"].max(),
        pair["low"].min(),
        pair["close"].iloc[1],
        pair["volume"].sum(),
    ]
    assert list(candles.bars.iloc[1]) == pytest.approx(expected)
    assert candles.bars.iloc[-1].isna().all()
    assert list(candles.features["x"].dropna()) == [1, 3, 5, 7, 9]
    assert candle_hours(24 * 365 * 100) == 168


def test_the_rest_is_what_the_project_says_elsewhere(contents):
    counts = contents.standing.counts.states
    shown = contents.coverage.states.map(lambda state: STATES[state]).value_counts()
    assert shown["stored"] + shown[STALE] == counts["stored"]
    assert shown["can be computed"] == counts["can be computed"] == 1
    assert [name for name, _ in contents.checks] == [
        "continuity",
        "sanity",
        "freshness",
        "completeness",
        "corrections",
        "feature_names",
        "missing_values",
        "parity",
    ]
    assert any(line.startswith("skipped 47 hours, after a gap") for line in contents.standing.skipped)
    assert {line.name for line in contents.lines} == set(contents.feature_set.names)


@pytest.mark.parametrize(
    ("panes", "message"),
    [
        (["nonsense"], "no such feature under the key short: nonsense"),
        (["close_rsi_14_1H", "x0", "x1"], "short: x0; it has"),
        (["close_rsi14_4H"], r"short: close_rsi14_4H; did you mean close_rsi_14_4H"),
        (["nothing_*"], r"short: nothing_\*; "),
    ],
)
def test_an_unknown_feature_is_named(market, feature_set, panes, message):
    with pytest.raises(UserError, match=message):
        contents_of(market, feature_set, Choice(panes=panes), [])


def test_features_are_chosen_by_patterns_too(market, feature_set):
    chosen = contents_of(market, feature_set, Choice(panes=["close_rsi_14_*", "close_rsi_14_4H"]), []).candles.features
    assert list(chosen.columns) == ["close_rsi_14_1H", "close_rsi_14_4H"]


def test_too_many_panes_are_refused(market, feature_set):
    with pytest.raises(UserError, match="13 features are too many"):
        contents_of(market, feature_set, Choice(panes=feature_set.names[:13]), [])


def test_without_a_row_there_is_no_report(tmp_path):
    market = small_market(tmp_path)
    with pytest.raises(UserError, match="nothing is stored under short"):
        contents_of(market, market.feature_sets[0], Choice(), [])
