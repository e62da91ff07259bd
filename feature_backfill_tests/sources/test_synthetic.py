import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_backfill.engine.bars import row_faults
from feature_backfill.sources.synthetic import drop_hours, synthetic_ohlcv

START = pd.Timestamp("2024-01-01 05:00")
MARKET = synthetic_ohlcv(START, 20_000, seed=7)


def test_rows_are_consecutive_hours() -> None:
    expected = pd.date_range(START, periods=len(MARKET), freq="h", unit="us")
    assert MARKET["timestamp"].dtype == "datetime64[us]"
    np.testing.assert_array_equal(MARKET["timestamp"], expected)


@given(seed=st.integers(0, 2**32), hours=st.integers(0, 3000))
def test_every_row_is_sound(seed: int, hours: int) -> None:
    market = synthetic_ohlcv(START, hours, seed)
    assert len(market) == hours
    assert row_faults(market).isna().all()


@pytest.mark.parametrize("hours", [0, 1, 2, 17, 1000, 19_999])
def test_more_hours_extend_the_same_market(hours: int) -> None:
    fewer = synthetic_ohlcv(START, hours, seed=7)
    pd.testing.assert_frame_equal(fewer, MARKET[:hours], check_exact=True)


def test_the_seed_makes_the_market() -> None:
    pd.testing.assert_frame_equal(synthetic_ohlcv(START, len(MARKET), seed=7), MARKET, check_exact=True)
    assert not np.array_equal(synthetic_ohlcv(START, 100, seed=8)["close"], MARKET["close"][:100])


def test_prices_lie_on_the_tick_grid_and_volume_has_three_decimals() -> None:
    for column in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(MARKET[column], MARKET[column].round(1))
    np.testing.assert_array_equal(MARKET["volume"], MARKET["volume"].round(3))


def test_open_is_near_the_previous_close() -> None:
    assert (MARKET["open"] - MARKET["close"].shift()).abs().max() <= 1.0


def test_returns_look_like_a_market() -> None:
    returns = np.log(MARKET["close"]).diff()
    size = returns.abs()
    assert 0.003 < returns.std() < 0.01
    assert returns.kurt() > 3, "fat tails"
    assert abs(returns.autocorr(1)) < 0.05
    assert size.autocorr(1) > 0.1, "volatility clusters"
    assert size.corr(MARKET["volume"]) > 0.4
    hour = MARKET["timestamp"].dt.hour
    for seasonal in (size, MARKET["volume"]):
        by_hour = seasonal.groupby(hour).mean()
        assert by_hour[12:19].mean() > 1.3 * by_hour[0:7].mean()


def test_drop_hours_leaves_a_gap() -> None:
    with_gap = drop_hours(MARKET[:10], START + pd.Timedelta(hours=3), 2)
    expected = MARKET["timestamp"][:10].drop([3, 4])
    np.testing.assert_array_equal(with_gap["timestamp"], expected)
    assert list(with_gap.index) == list(range(8))


def test_a_market_starts_on_the_hour() -> None:
    with pytest.raises(ValueError, match="on the hour"):
        synthetic_ohlcv(pd.Timestamp("2024-01-01 00:30"), 10)
