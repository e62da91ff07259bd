"""The engine against golden output, against the scalar oracle, and against itself."""

import random
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_backfill import compute_features, feature_names
from feature_backfill.checks import oracle
from feature_backfill.engine import compute
from feature_backfill.engine.bars import HourlyRows, complete_bars
from feature_backfill.engine.timeframes import HOURS_PER_BAR
from feature_backfill_tests.comparison import mismatches

GOLDEN = Path(__file__).parents[1] / "golden"
CONFIGURATIONS = {
    "synthetic_default": (720, 0, ("1H", "4H", "12H", "1D")),
    "synthetic_base168_8h": (168, 23, ("1H", "4H", "8H", "1D")),
}
FLAT_FROM = pd.Timestamp("2025-02-11 16:00")


@pytest.fixture(scope="module")
def ohlcv():
    return pd.read_csv(GOLDEN / "synthetic_1h.csv", parse_dates=["timestamp"])


def by_oracle(ohlcv, targets, base_hours, buffer_hours, timeframes):
    rows = oracle.hourly_rows(ohlcv)
    results = {
        ts: oracle.features_of_hour(rows, ts.to_pydatetime(), base_hours, buffer_hours, timeframes) for ts in targets
    }
    computed = {ts: row for ts, row in results.items() if not isinstance(row, oracle.Skip)}
    return pd.DataFrame(list(computed.values()), index=pd.DatetimeIndex(list(computed), name="ts")), set(results) - set(
        computed
    )


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_golden_output_is_reproduced(ohlcv, name):
    expected = duckdb.read_parquet(str(GOLDEN / f"{name}.parquet")).df().set_index("ts")
    result = compute_features(ohlcv, expected.index, *CONFIGURATIONS[name])
    assert list(result.features.columns) == feature_names(CONFIGURATIONS[name][2])
    assert mismatches(result.features[expected.columns], expected, ohlcv, *CONFIGURATIONS[name][:2]) == []


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_hours_that_the_script_skipped_are_skipped(ohlcv, name):
    lines = (GOLDEN / f"{name}.skips.txt").read_text().splitlines()
    skipped = pd.DatetimeIndex([line[5:24] for line in lines])
    result = compute_features(ohlcv, skipped, *CONFIGURATIONS[name])
    assert result.features.empty
    assert list(result.skipped.index) == sorted(set(skipped))
    assert result.skipped.str.contains("2025-03-12 20:00").all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_every_setting_agrees_with_the_oracle(ohlcv, seed):
    choice = random.Random(seed)
    base_hours = choice.choice([1, 2, 5, 14, 15, 16, 20, 21, 25, 26, 30, 48, 100, 168, 313, 360, 480, 720])
    buffer_hours = choice.choice([0, 0, 1, 7, 23, 30])
    timeframes = tuple(choice.sample(list(HOURS_PER_BAR), choice.randint(1, 3)))
    targets = pd.DatetimeIndex(sorted(choice.sample(list(ohlcv["timestamp"]), 6)))
    expected, skipped = by_oracle(ohlcv, targets, base_hours, buffer_hours, timeframes)
    result = compute_features(ohlcv, targets, base_hours, buffer_hours, timeframes)
    assert set(result.skipped.index) == skipped
    if len(expected):
        assert mismatches(result.features, expected, ohlcv, base_hours, buffer_hours) == []


def test_every_hour_around_a_halt_agrees_with_the_oracle(ohlcv):
    targets = pd.date_range(FLAT_FROM, periods=60, freq="h")
    expected, _ = by_oracle(ohlcv, targets, 360, 0, ("1H", "4H"))
    assert len(expected) == 60
    result = compute_features(ohlcv, targets, 360, 0, ("1H", "4H"))
    assert mismatches(result.features, expected, ohlcv, 360, 0) == []
    assert (
        np.isneginf(result.features["close_perm_entropy_3_50_1H"]).any()
        == np.isneginf(expected["close_perm_entropy_3_50_1H"]).any()
    )


def test_later_rows_change_nothing(ohlcv):
    targets = pd.date_range("2025-02-20 05:00", periods=30, freq="h")
    changed = ohlcv.copy()
    changed.loc[changed["timestamp"] > targets[-1], ["open", "high", "low", "close", "volume"]] *= 3
    before = compute_features(ohlcv[ohlcv["timestamp"] <= targets[-1]], targets)
    pd.testing.assert_frame_equal(before.features, compute_features(changed, targets).features, check_exact=True)


def test_older_rows_than_the_lookback_change_nothing(ohlcv):
    target = pd.Timestamp("2025-03-01 09:00")
    window = ohlcv[ohlcv["timestamp"].between(target - timedelta(hours=719), target)]
    alone = compute_features(window, [target]).features
    pd.testing.assert_frame_equal(alone, compute_features(ohlcv, [target]).features, check_exact=True)


@pytest.mark.parametrize(("base_hours", "buffer_hours"), [(720, 0), (168, 0), (300, 5)])
def test_an_hour_alone_equals_the_hour_in_a_batch_to_the_last_bit(ohlcv, base_hours, buffer_hours):
    targets = pd.DatetimeIndex(ohlcv["timestamp"][720:1500])
    batch = compute_features(ohlcv, targets, base_hours, buffer_hours).features
    for ts in targets[[0, 1, 250, 300, 511, 779]]:
        alone = compute_features(ohlcv, [ts], base_hours, buffer_hours).features
        pd.testing.assert_frame_equal(alone, batch.loc[[ts]], check_exact=True, check_freq=False)


def test_chunks_leave_no_trace(ohlcv, monkeypatch):
    targets = ohlcv["timestamp"][720:1100]
    whole = compute_features(ohlcv, targets).features
    monkeypatch.setattr(compute, "CHUNK_HOURS", 50)
    pd.testing.assert_frame_equal(compute_features(ohlcv, targets).features, whole, check_exact=True)


def test_order_zone_and_repetition_of_input_do_not_matter(ohlcv):
    targets = pd.date_range("2025-02-20 05:00", periods=20, freq="h")
    expected = compute_features(ohlcv, targets).features
    shuffled = pd.concat([ohlcv, ohlcv.iloc[100:110]]).sample(frac=1, random_state=1)
    shuffled["timestamp"] = shuffled["timestamp"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    zoned = [*targets[::-1].tz_localize("UTC").tz_convert("America/New_York"), targets[0]]
    pd.testing.assert_frame_equal(
        compute_features(shuffled, zoned).features, expected, check_exact=True, check_freq=False
    )


def test_given_bars_are_used_and_lacking_ones_skip(ohlcv):
    target = pd.Timestamp("2025-03-01 09:00")
    bars = complete_bars(HourlyRows.of(ohlcv), "4H")
    same = compute_features(ohlcv, [target], bars={"4H": bars}).features
    pd.testing.assert_frame_equal(same, compute_features(ohlcv, [target]).features, check_exact=True)
    other = bars.assign(volume=bars["volume"] * 2)
    changed = compute_features(ohlcv, [target], bars={"4h": other}).features
    assert changed["volume_sma_20_4H"].item() == pytest.approx(2 * same["volume_sma_20_4H"].item())
    lacking = compute_features(ohlcv, [target], bars={"4H": bars[bars["timestamp"] != "2025-02-20 08:00"]})
    assert lacking.skipped[target].startswith("missing bars: 4H")


BAD_ROWS = {
    "close is not a number": {"close": np.nan},
    "volume is infinite": {"volume": np.inf},
    "low is not positive": {"low": 0.0},
    "high below low": {"high": 1.0},
    "close outside low..high": {"close": 1e9},
    "volume is negative": {"volume": -1.0},
}


@pytest.mark.parametrize("reason", BAD_ROWS)
def test_a_bad_row_skips_the_hours_that_see_it_and_no_other(ohlcv, reason):
    bad = ohlcv.copy()
    for column, value in BAD_ROWS[reason].items():
        bad.loc[800, column] = value
    stamp = bad.loc[800, "timestamp"]
    hours = pd.date_range(stamp - timedelta(hours=1), stamp + timedelta(hours=168), freq="h")
    result = compute_features(bad, hours, base_hours=168)
    assert list(result.features.index) == [hours[0], hours[-1]]
    sound = f"the lookback is sound again from {hours[-1]:%Y-%m-%d %H:%M}"
    assert (result.skipped == f"bad row: {stamp:%Y-%m-%d %H:%M} {reason}; {sound}").all()


def test_rows_of_one_hour_that_disagree_are_bad(ohlcv):
    doubled = pd.concat([ohlcv, ohlcv.iloc[[800]].assign(volume=1.0)])
    result = compute_features(doubled, [ohlcv.loc[810, "timestamp"]], base_hours=168)
    assert "rows of this hour disagree" in result.skipped.item()


def test_a_row_off_the_hour_is_bad_for_windows_that_hold_both_hours_around_it(ohlcv):
    stamp = ohlcv.loc[800, "timestamp"]
    stray = pd.concat([ohlcv, ohlcv.iloc[[800]].assign(timestamp=stamp + timedelta(minutes=30))])
    hours = pd.date_range(stamp - timedelta(hours=1), stamp + timedelta(hours=170), freq="h")
    result = compute_features(stray, hours, base_hours=168)
    assert list(result.features.index) == [stamp - timedelta(hours=1), stamp, *hours[-3:]]
    assert result.skipped.str.contains("off the hour").all()


def test_text_in_a_number_column_is_a_bad_row(ohlcv):
    text = ohlcv.astype({"open": object})
    text.loc[800, "open"] = "n/a"
    result = compute_features(text, [ohlcv.loc[810, "timestamp"]], base_hours=168)
    assert "open is not a number" in result.skipped.item()


def test_reasons_of_other_skips(ohlcv):
    target = ohlcv.loc[900, "timestamp"]
    early = compute_features(ohlcv, [ohlcv.loc[700, "timestamp"]]).skipped.item()
    assert early.startswith("warm-up: OHLCV begins at 2025-01-01 00:00; the lookback is complete from 2025-01-30 23:00")
    assert compute_features(ohlcv, [target], base_hours=0).skipped.item().startswith("lookback too short")
    short = compute_features(ohlcv, ["2025-02-01 10:00"], base_hours=5, timeframes=["1D"]).skipped.item()
    assert short == "lookback too short: no 1D bar ends within 5 hours"
    assert compute_features(ohlcv, ["2025-02-01 10:30"]).skipped.item().startswith("off the hour")
    assert len(compute_features(ohlcv.iloc[:0], [target]).skipped) == 1


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_rounding_that_hurst_consists_of_is_the_scripts(ohlcv, name):
    expected = duckdb.read_parquet(str(GOLDEN / f"{name}.parquet")).df().set_index("ts")
    result = compute_features(ohlcv, expected.index, *CONFIGURATIONS[name])
    actual, expected = (frame.filter(like="hurst").stack().dropna() for frame in (result.features, expected))
    assert (actual.index == expected.index).all()
    # All are equal where numpy computes logs with AVX-512; elsewhere the last bit of a log may differ.
    assert (actual == expected).mean() > 0.85
    assert (expected != 0).all()


@pytest.mark.parametrize("timeframes", [["5H"], ["1W"], ["60T"], [], ["1H", "H"]])
def test_timeframes_that_make_no_sense_are_refused(ohlcv, timeframes):
    with pytest.raises(ValueError, match="timeframe"):
        compute_features(ohlcv, ohlcv["timestamp"][720:721], timeframes=timeframes)


def test_spellings_of_timeframes_have_one_name():
    assert feature_names(["h", "24H", "4h"]) == feature_names(["1H", "1D", "4H"])
