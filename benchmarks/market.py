"""The synthetic market that is measured on."""

import pandas as pd

from feature_backfill.sources.synthetic import synthetic_ohlcv

FIRST_HOUR = pd.Timestamp("2015-01-01")
BASE_HOURS = 720


def ohlcv_and_targets(hours: int) -> tuple[pd.DataFrame, pd.DatetimeIndex]:
    """OHLCV, and its last `hours` hours, each of which has a whole lookback."""
    ohlcv = synthetic_ohlcv(FIRST_HOUR, BASE_HOURS - 1 + hours)
    return ohlcv, pd.DatetimeIndex(ohlcv["timestamp"])[BASE_HOURS - 1 :]
