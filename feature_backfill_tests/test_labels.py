import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from feature_backfill import forward_returns
from feature_backfill.errors import UserError

HOURS = pd.date_range("2025-01-01", periods=8, freq="h", unit="us")


def ohlcv(close=(100, 110, 99, 120, 60, 90, 45, 50)) -> pd.DataFrame:
    prices = np.array(close, dtype=float)
    return pd.DataFrame(
        {"timestamp": HOURS, "open": prices, "high": prices, "low": prices, "close": prices, "volume": 1.0}
    )


def test_the_return_is_of_the_close_so_many_hours_later():
    returns = forward_returns(ohlcv().sample(frac=1, random_state=0), hours=2)
    assert returns.index.name == "ts"
    assert returns.name == "forward_return_2h"
    assert list(returns.index) == list(HOURS)
    expected = [-0.01, 120 / 110 - 1, 60 / 99 - 1, -0.25, -0.25, 50 / 90 - 1, np.nan, np.nan]
    np.testing.assert_allclose(returns, expected, rtol=1e-15)


def test_no_return_goes_across_a_gap():
    returns = forward_returns(ohlcv().drop(index=3), hours=2)
    assert list(returns.index) == [hour for hour in HOURS if hour != HOURS[3]]
    assert list(returns.index[returns.notna()]) == [HOURS[0], HOURS[4], HOURS[5]]


@pytest.mark.parametrize("bad", [np.nan, 0.0, -5.0, np.inf])
def test_a_bad_row_counts_as_a_missing_hour(bad):
    rows = ohlcv()
    rows.loc[3, "close"] = bad
    returns = forward_returns(rows, hours=1)
    assert list(returns.index[returns.isna()]) == [HOURS[2], HOURS[3], HOURS[7]]


def test_rows_that_disagree_about_an_hour_count_as_none():
    rows = pd.concat([ohlcv(), ohlcv().iloc[[3]].assign(volume=2.0)])
    returns = forward_returns(rows, hours=1)
    assert list(returns.index[returns.isna()]) == [HOURS[2], HOURS[3], HOURS[7]]


def test_a_horizon_longer_than_the_history_has_no_returns():
    assert forward_returns(ohlcv(), hours=8).isna().all()
    assert forward_returns(ohlcv().iloc[:0], hours=1).empty


@pytest.mark.parametrize("hours", [0, -1, 1.5, True, "24"])
def test_a_horizon_is_a_whole_number_of_hours(hours):
    with pytest.raises(UserError, match="whole number of hours"):
        forward_returns(ohlcv(), hours)


def test_a_missing_column_is_named():
    with pytest.raises(UserError, match="lacks the column volume"):
        forward_returns(ohlcv().drop(columns="volume"), 1)


def test_labels_load_neither_dagster_nor_duckdb():
    check = "import sys, feature_backfill.labels; sys.exit(bool({'dagster', 'duckdb'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0
