"""OHLCV and features of the newest days, in as many candles as a screen can show."""

from dataclasses import dataclass

import pandas as pd

from feature_backfill.engine.bars import COLUMNS

MOST_CANDLES = 1_000
CANDLE_HOURS = (1, 2, 4, 6, 12, 24, 24 * 7)
"""The lengths of a candle, in hours."""


@dataclass(frozen=True)
class Candles:
    """Bars of one length, and what the features were at their end.

    bar_hours: hours of a bar. bars: bars x (open, high, low, close, volume), by opening time, NaN where no hour has a
    row. features: bars x features, the value of the newest stored hour of each bar, NaN where there is none.
    """

    bar_hours: int
    bars: pd.DataFrame
    features: pd.DataFrame


def candle_hours(hours: int) -> int:
    """The shortest candle of which at most MOST_CANDLES cover a number of hours; else the longest."""
    return next((length for length in CANDLE_HOURS if hours <= length * MOST_CANDLES), CANDLE_HOURS[-1])


def candles_of(ohlcv: pd.DataFrame, features: pd.DataFrame) -> Candles:
    """The candles of hourly rows. ohlcv: every hour from first to last x columns. features: stored hours x features."""
    length = candle_hours(len(ohlcv))
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    bars = ohlcv.resample(f"{length}h", origin="epoch").agg(how)[list(COLUMNS)]
    bars["volume"] = bars["volume"].where(bars["close"].notna())
    inside = features[(features.index >= ohlcv.index[0]) & (features.index <= ohlcv.index[-1])]
    ends = inside.resample(f"{length}h", origin="epoch").last() if len(inside) else inside
    return Candles(length, bars, ends.reindex(bars.index))
