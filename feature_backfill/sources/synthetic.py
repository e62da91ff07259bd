"""A synthetic hourly market, for demonstrations and tests that need no market data.

Like hourly crypto bars it has clustered volatility, an intraday pattern, fat tails, occasional jumps, and volume that
grows with price moves. It models no real market.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

from feature_backfill.hours import HOUR

Floats = NDArray[np.float64]

FIRST_PRICE = 60_000.0
TICKS_PER_UNIT = 10
HOURLY_VOLATILITY = 0.0045
TYPICAL_VOLUME = 500.0
BUSIEST_HOUR = 15
LARGEST_JUMP = 0.04
JUMP_PROBABILITY = 0.002
TAIL_DEGREES_OF_FREEDOM = 5
# Hourly pull of the log price towards the first price. It is too weak to notice within a month, but over decades it
# keeps prices in a range that the tick grid resolves.
MEAN_REVERSION = 1e-4


def synthetic_ohlcv(start: pd.Timestamp, hours: int, seed: int = 0) -> pd.DataFrame:
    """Consecutive sound hourly rows, determined by start and seed.

    A longer market extends a shorter one: its first n rows equal those of a call for n hours.

    start: the first hour, UTC-naive.
    Returns hours x (timestamp, open, high, low, close, volume). Prices have 1 decimal, volumes 3.

    Raises ValueError if start is not on the hour.
    """
    if start != start.floor("h"):
        raise ValueError(f"the market must start on the hour, not at {start}")
    stamps = pd.date_range(start, periods=hours, freq=HOUR, unit="us")
    # Each component has a random stream of its own. With a shared stream, more hours would shift every component but
    # the first.
    regime, shocks, jumps, gaps, extremes, interest = np.random.default_rng(seed).spawn(6)

    volatility = HOURLY_VOLATILITY * _autoregressive_factor(regime, hours, 0.98, 0.4) * _hour_of_day_factor(stamps, 0.3)
    moves = volatility * _fat_tailed(shocks, hours) + _jumps(jumps, hours)
    closes = _ticks(FIRST_PRICE * np.exp(lfilter([1.0], [1.0, MEAN_REVERSION - 1.0], moves)))
    opens = np.concatenate([[_ticks(FIRST_PRICE)], closes])[:hours] + np.rint(gaps.standard_normal(hours))
    highs, lows = _extremes(extremes, opens, closes, volatility)
    activity = _autoregressive_factor(interest, hours, 0.9, 0.6) * _hour_of_day_factor(stamps, 0.4)
    volumes = TYPICAL_VOLUME * activity * (0.4 + 0.6 * np.abs(moves) / HOURLY_VOLATILITY)
    ticks = {"open": opens, "high": highs, "low": lows, "close": closes}
    prices = {column: values / TICKS_PER_UNIT for column, values in ticks.items()}
    return pd.DataFrame({"timestamp": stamps, **prices, "volume": volumes.round(3)})


def drop_hours(ohlcv: pd.DataFrame, first: pd.Timestamp, count: int) -> pd.DataFrame:
    """The rows without the `count` hours that begin at `first`, which leaves a gap in the history."""
    gap = ohlcv["timestamp"].between(first, first + count * HOUR, inclusive="left")
    return ohlcv[~gap].reset_index(drop=True)


def _ticks(prices: float | Floats) -> Floats:
    return np.rint(np.multiply(prices, TICKS_PER_UNIT))


def _autoregressive_factor(rng: np.random.Generator, hours: int, persistence: float, deviation: float) -> Floats:
    """A positive factor around 1. Its logarithm is a first-order autoregression with the given standard deviation."""
    scale = deviation * np.sqrt(1 - persistence**2)
    return np.asarray(np.exp(lfilter([scale], [1.0, -persistence], rng.standard_normal(hours))))


def _hour_of_day_factor(stamps: pd.DatetimeIndex, amplitude: float) -> Floats:
    hours_from_peak = np.asarray(stamps.hour) - BUSIEST_HOUR
    return np.asarray(1 + amplitude * np.cos(2 * np.pi * hours_from_peak / 24))


def _fat_tailed(rng: np.random.Generator, hours: int) -> Floats:
    """Student t, scaled to unit variance."""
    scale = np.sqrt((TAIL_DEGREES_OF_FREEDOM - 2) / TAIL_DEGREES_OF_FREEDOM)
    return np.asarray(scale * rng.standard_t(TAIL_DEGREES_OF_FREEDOM, hours))


def _jumps(rng: np.random.Generator, hours: int) -> Floats:
    """Log-price jumps, uniform up to LARGEST_JUMP in either direction; 0 in most hours."""
    chance, size = rng.random((hours, 2)).T
    return np.where(chance < JUMP_PROBABILITY, LARGEST_JUMP * (2 * size - 1), 0.0)


def _extremes(rng: np.random.Generator, opens: Floats, closes: Floats, volatility: Floats) -> tuple[Floats, Floats]:
    """High and low, in ticks, of a Brownian bridge from open to close.

    Let m be the bridge's maximum relative to its start. Then m * (m - move) = volatility**2 / 2 * E, where E has the
    standard exponential distribution.
    """
    move = np.log(closes / opens)
    upward, downward = rng.standard_exponential((len(opens), 2)).T
    above = (move + np.sqrt(move**2 + 2 * volatility**2 * upward)) / 2
    below = (-move + np.sqrt(move**2 + 2 * volatility**2 * downward)) / 2
    highs = np.maximum(np.rint(opens * np.exp(above)), np.maximum(opens, closes))
    lows = np.minimum(np.rint(opens * np.exp(-below)), np.minimum(opens, closes))
    return highs, lows
