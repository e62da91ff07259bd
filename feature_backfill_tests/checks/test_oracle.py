"""The oracle against outputs that were computed by neither it nor the engine, and the comparison against itself."""

import math
import re
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from feature_backfill.checks import oracle, tolerances
from feature_backfill_tests.comparison import mismatches

GOLDEN = Path(__file__).parents[1] / "golden"
CONFIGURATIONS = {
    "synthetic_default": (720, 0, ("1H", "4H", "12H", "1D")),
    "synthetic_base168_8h": (168, 23, ("1H", "4H", "8H", "1D")),
}
IN_HALT, IN_MARKET = pd.Timestamp("2025-02-13 07:00"), pd.Timestamp("2025-04-22 11:00")


@pytest.fixture(scope="module")
def ohlcv():
    return pd.read_csv(GOLDEN / "synthetic_1h.csv", parse_dates=["timestamp"])


@pytest.fixture(scope="module")
def rows(ohlcv):
    return oracle.hourly_rows(ohlcv)


def golden_features(name):
    return duckdb.read_parquet(str(GOLDEN / f"{name}.parquet")).df().set_index("ts")


@pytest.fixture(scope="module")
def expected():
    return golden_features("synthetic_default")


# --- the oracle ---


def test_the_oracle_shares_nothing_with_the_engine():
    modules = re.findall(r"(?m)^(?:from|import) (\S+)", Path(oracle.__file__).read_text())
    assert not [module for module in modules if module.startswith(("feature_backfill", "numpy", "scipy"))]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_oracle_reproduces_the_golden_features(name, ohlcv, rows):
    expected = golden_features(name)
    base_hours, buffer_hours, timeframes = CONFIGURATIONS[name]
    computed = [
        oracle.features_of_hour(rows, ts.to_pydatetime(), base_hours, buffer_hours, timeframes) for ts in expected.index
    ]
    actual = pd.DataFrame(computed, index=expected.index)[expected.columns]
    assert mismatches(actual, expected, ohlcv, base_hours, buffer_hours) == []


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_golden_skips_name_the_missing_hour(name, rows):
    lines = (GOLDEN / f"{name}.skips.txt").read_text().splitlines()
    assert lines
    for line in lines:
        ts, missing = re.findall(r"\d{4}-\d\d-\d\d \d\d:00:00", line)
        skip = oracle.features_of_hour(rows, pd.Timestamp(ts).to_pydatetime(), *CONFIGURATIONS[name])
        assert skip == oracle.Skip(f"no row at {missing}")


@pytest.mark.parametrize(
    "row",
    [
        (10.0, 9.0, 11.0, 10.0, 1.0),
        (12.0, 11.0, 9.0, 10.0, 1.0),
        (10.0, 11.0, 9.0, 8.0, 1.0),
        (10.0, 11.0, 0.0, 10.0, 1.0),
        (10.0, math.inf, 9.0, 10.0, 1.0),
        (10.0, 11.0, 9.0, math.nan, 1.0),
        (10.0, 11.0, 9.0, 10.0, -1.0),
        (10.0, 11.0, 9.0, 10.0, math.nan),
    ],
)
def test_bad_row_in_the_window_skips_the_hour_and_outside_does_not(rows, row):
    ts = IN_MARKET.to_pydatetime()
    oldest = ts - timedelta(hours=26)
    assert isinstance(oracle.bars_of_hour({**rows, oldest: row}, ts, 24, 3), oracle.Skip)
    assert isinstance(oracle.bars_of_hour({**rows, oldest: row}, ts, 24, 2), dict)


def test_row_off_the_hour_in_the_window_skips_the_hour(rows):
    ts = IN_MARKET.to_pydatetime()
    off_hour = {**rows, ts - timedelta(minutes=30): rows[ts]}
    assert isinstance(oracle.bars_of_hour(off_hour, ts, 24), oracle.Skip)


def test_rows_of_one_stamp_count_once_if_equal_and_are_bad_if_not(ohlcv, rows):
    equal = pd.concat([ohlcv, ohlcv.tail(1)])
    assert oracle.hourly_rows(equal) == rows
    other = ohlcv.tail(1).assign(volume=1.0)
    last = max(rows)
    for order in ([ohlcv, other], [other, ohlcv], [ohlcv, other, ohlcv]):
        assert isinstance(oracle.bars_of_hour(oracle.hourly_rows(pd.concat(order)), last, 24), oracle.Skip)


@pytest.mark.parametrize(("base_hours", "is_computed"), [(2, False), (3, True)])
def test_base_shorter_than_a_bar_needs_the_bar_end_in_the_window(rows, base_hours, is_computed):
    ts = pd.Timestamp("2025-04-22 14:00").to_pydatetime()
    bars = oracle.bars_of_hour(rows, ts, base_hours, timeframes=("12H",))
    assert isinstance(bars, dict) == is_computed
    if isinstance(bars, dict):
        noon = ts - timedelta(hours=2)
        assert bars["12H"].label == noon
        assert (bars["12H"].open[0], bars["12H"].close[0]) == (rows[noon][0], rows[noon][3])


@pytest.mark.parametrize("count", [1, 7, 8, 20, 100, 128, 129, 257, 720])
def test_numpy_sum_adds_in_the_order_of_numpy(count):
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=count)
        assert oracle.numpy_sum(x.tolist()) == np.sum(x)


# --- the comparison ---


def test_tolerances_are_of_features_and_each_has_one():
    assert tolerances.ATOL.keys() <= oracle.FEATURES.keys()
    assert sum(len(names.split()) for _, names in tolerances.ATOL_GROUPS) == len(tolerances.ATOL)
    assert tolerances.EXEMPTIONS.keys() | tolerances.ABSOLUTE_ONLY <= oracle.FEATURES.keys()


def test_each_feature_is_reported_beyond_its_tolerance_and_not_within(expected, ohlcv, rows):
    expected = expected.loc[[IN_MARKET]]
    window = oracle.bars_of_hour(rows, IN_MARKET.to_pydatetime())
    for share in (0.9, 1.1):
        actual = expected.copy()
        for column, value in expected.loc[IN_MARKET].dropna().items():
            name, timeframe = column.rsplit("_", 1)
            actual.loc[IN_MARKET, column] = value + share * tolerances.allowed(name, value, window[timeframe])
        # What stays is 0 and has no absolute tolerance.
        moved = actual.columns[(actual != expected).loc[IN_MARKET] & expected.loc[IN_MARKET].notna()]
        reported = [report.split()[2].removesuffix(":") for report in mismatches(actual, expected, ohlcv)]
        assert reported == ([] if share < 1 else list(moved))
        assert len(moved) > 400


@pytest.mark.parametrize(
    "name", ["close_sma_20_1H", "close_adx_14_1D", "time_dow_sin_4H", "close_perm_entropy_3_50_12H"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.5])
def test_missing_and_infinite_values_are_reported(expected, ohlcv, name, value):
    expected = expected.loc[[IN_MARKET]]
    actual = expected.assign(**{name: value})
    assert len(mismatches(actual, expected, ohlcv)) == 1
    assert len(mismatches(expected, actual, ohlcv)) == 1
    assert mismatches(actual, actual, ohlcv) == []


def test_infinities_match_by_sign(expected, ohlcv):
    expected = expected.loc[[IN_MARKET]]
    low, high = (expected.assign(close_perm_entropy_3_50_1H=infinity) for infinity in (-math.inf, math.inf))
    assert mismatches(low, low, ohlcv) == []
    assert len(mismatches(low, high, ohlcv)) == 1


def test_other_names_hours_order_and_types_are_reported(expected, ohlcv):
    for actual, word in [
        (expected.drop(columns="log_close_1H"), "missing ['log_close_1H']"),
        (expected.assign(extra=0.0), "unexpected ['extra']"),
        (expected[expected.columns[::-1]], "another order"),
        (expected.drop(index=IN_HALT), f"missing ['{IN_HALT}']"),
        (expected[::-1], "another order"),
        (expected.astype({"log_close_1H": "float32"}), "log_close_1H is float32"),
    ]:
        [report] = mismatches(actual, expected, ohlcv)
        assert word in report


def test_hour_without_a_sound_window_is_reported(expected, ohlcv):
    torn = ohlcv[ohlcv["timestamp"] != IN_MARKET]
    reports = mismatches(expected.loc[[IN_MARKET]], expected.loc[[IN_MARKET]], torn)
    assert reports == [f"{IN_MARKET}: has values, but no row at {IN_MARKET}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("close_zscore_20", math.sqrt(19 / 20)),
        ("close_ma_cross_signal_5_20", 1.0),
        ("close_cci_20", 0.0),
        ("close_bb_percent_20_2", 0.25),
        ("close_bb_width_pct_20_2", 1e-3),
    ],
)
def test_flat_windows_are_exempt_where_rounding_decides(expected, ohlcv, name, value):
    assert ohlcv.set_index("timestamp").loc[:IN_HALT, "close"].tail(20).nunique() == 1
    expected = expected.loc[[IN_HALT]]
    assert mismatches(expected.assign(**{f"{name}_1H": value}), expected, ohlcv) == []
    # Half of the 20 bars of four hours lie before the halt.
    assert len(mismatches(expected.assign(**{f"{name}_4H": 7.0}), expected, ohlcv)) == 1


def test_signal_of_meeting_averages_is_still_a_signal(expected, ohlcv):
    expected = expected.loc[[IN_HALT]]
    assert len(mismatches(expected.assign(close_ma_cross_signal_5_20_1H=0.5), expected, ohlcv)) == 1


def bars_with_closes(closes):
    flat = [1.0] * len(closes)
    return oracle.Bars(IN_MARKET.to_pydatetime(), closes, closes, closes, closes, flat)


WILD = [100 + 5 * math.sin(i * i) for i in range(101)]


@pytest.mark.parametrize(
    ("name", "actual", "closes"),
    [
        ("close_entropy_20", 1.0, [100.0 + i % 11 for i in range(101)]),
        ("close_dominant_cycle_length_50", 50 / 24, [100.0] * 80 + [101.0] + [100.0] * 20),
        ("close_dominant_cycle_length_50", 50 / 24, [100.0, 100.1] * 50 + [100.0]),
        ("close_cycle_strength_50", 0.5, [100.0] * 101),
        ("close_cycle_strength_50", math.nan, [100.0, 100.1] * 50 + [100.0]),
        ("close_spectral_entropy_50", 0.5, [100.0] * 101),
        ("close_spectral_entropy_50", 0.5, [1e-160 * (i % 7 + 1) for i in range(101)]),
        ("close_roll_spread_20", 1e-9, [100.0 + i for i in range(101)]),
        ("close_ou_halflife_100", 1e12, [100.0] * 100 + [101.0]),
        ("close_cvar_5_50", -0.1, [100.0, 110.0] * 50 + [100.0]),
    ],
)
def test_exemptions_hold_where_rounding_decides_and_only_there(name, actual, closes):
    assert tolerances.is_exempt(name, actual, bars_with_closes(closes))
    assert not tolerances.is_exempt(name, actual, bars_with_closes(WILD))
    assert not tolerances.is_exempt(name, actual, bars_with_closes(closes[:10]))


def test_tied_cycles_excuse_each_other_only():
    two_waves = [100 + sum(math.cos(2 * math.pi * k * j / 50) for k in (3, 7)) for j in range(101)]
    bars = bars_with_closes(two_waves)
    largest = bars.spectrum[3]
    bars.spectrum[7] = largest
    assert [k for k in range(1, 25) if tolerances.is_exempt("close_dominant_cycle_length_50", 50 / k, bars)] == [3, 7]
