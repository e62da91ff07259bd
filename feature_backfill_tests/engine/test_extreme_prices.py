"""Prices at the ends of floating point, and prices whose spectrum is nothing but rounding."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feature_backfill import compute_features
from feature_backfill.checks import oracle
from feature_backfill.engine.bars import PRICES
from feature_backfill_tests.comparison import mismatches

HOURS, BASE_HOURS, TIMEFRAMES = 420, 313, ("1H", "3H")
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def ohlcv():
    golden = Path(__file__).parents[1] / "golden" / "synthetic_1h.csv"
    return pd.read_csv(golden, parse_dates=["timestamp"])[:HOURS]


def with_closes(ohlcv, closes):
    return ohlcv.assign(open=closes, high=closes, low=closes, close=closes)


def departures_from_oracle(ohlcv):
    """In words, where the engine departs from the oracle in three hours."""
    targets = pd.DatetimeIndex(ohlcv["timestamp"][[BASE_HOURS, HOURS - 50, HOURS - 1]])
    actual = compute_features(ohlcv, targets, BASE_HOURS, 0, TIMEFRAMES).features
    rows = oracle.hourly_rows(ohlcv)
    expected = [oracle.features_of_hour(rows, ts.to_pydatetime(), BASE_HOURS, 0, TIMEFRAMES) for ts in targets]
    return mismatches(actual, pd.DataFrame(expected, index=actual.index), ohlcv, BASE_HOURS)


@settings(max_examples=15, deadline=None)
@given(exponent=st.integers(-314, 300))
@example(-310)
@example(-165)
@example(150)
@example(200)
def test_prices_of_any_scale_agree_with_the_oracle(ohlcv, exponent):
    assert departures_from_oracle(ohlcv.assign(**{price: ohlcv[price] * 10.0**exponent for price in PRICES})) == []


@settings(max_examples=15, deadline=None)
@given(exponent=st.integers(-310, 300))
def test_volumes_of_any_scale_agree_with_the_oracle(ohlcv, exponent):
    assert departures_from_oracle(ohlcv.assign(volume=ohlcv["volume"] * 10.0**exponent)) == []


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), lowest=st.integers(-310, 0), highest=st.integers(0, 200))
@example(0, -310, 200)
def test_prices_of_mixed_scales_agree_with_the_oracle(ohlcv, seed, lowest, highest):
    prices = np.sort(10.0 ** np.random.default_rng(seed).uniform(lowest, highest, (HOURS, 4)), axis=1)
    wild = ohlcv.assign(low=prices[:, 0], open=prices[:, 1], close=prices[:, 2], high=prices[:, 3])
    assert departures_from_oracle(wild) == []


@pytest.mark.parametrize("price", [1e-310, 1e-165, 0.1, 100, 1e200])
def test_prices_that_do_not_move_agree_with_the_oracle(ohlcv, price):
    flat = with_closes(ohlcv, np.full(HOURS, float(price)))
    assert departures_from_oracle(flat) == []
    features = compute_features(flat, flat["timestamp"][-1:], BASE_HOURS, 0, TIMEFRAMES).features
    assert features.filter(like="hurst").isna().all(axis=None)


@settings(max_examples=15, deadline=None)
@given(price=st.floats(1, 10), step=st.floats(1e-6, 1), exponent=st.integers(-310, 200))
@example(100, 0.1, 0)
@example(100, 1, 0)
def test_alternating_prices_have_the_scripts_spectrum_and_agree_with_the_oracle(ohlcv, price, step, exponent):
    closes = np.where(np.arange(HOURS) % 2 == 0, price, price + step) * 10.0**exponent
    market = with_closes(ohlcv, closes)
    assert departures_from_oracle(market) == []

    features = compute_features(market, market["timestamp"][-2:], BASE_HOURS, 0, ["1H"]).features
    for row, end in zip(features.itertuples(), (HOURS - 1, HOURS), strict=True):
        window = closes[end - 50 : end]
        amplitudes = np.abs(np.fft.rfft(window - window.mean()))[1:25]
        assert row.close_dominant_cycle_length_50_1H == 50 / (1 + np.argmax(amplitudes))
        if amplitudes.any():
            assert row.close_cycle_strength_50_1H == amplitudes.max() / amplitudes.sum()
        else:
            assert np.isnan(row.close_cycle_strength_50_1H)


@pytest.mark.parametrize("exponent", [-310, -200, 0, 150, 200])
def test_strength_of_cycles_does_not_depend_on_the_scale(ohlcv, exponent):
    target = ohlcv["timestamp"][-1:]
    scaled = with_closes(ohlcv, ohlcv["close"] * 10.0**exponent)
    strength = "close_cycle_strength_50_1H"
    expected = compute_features(with_closes(ohlcv, ohlcv["close"]), target, BASE_HOURS).features[strength]
    actual = compute_features(scaled, target, BASE_HOURS).features[strength]
    assert actual.item() == pytest.approx(expected.item(), rel=1e-9)
