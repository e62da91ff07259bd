"""Trailing windows of many target hours at once.

`Windows` looks at one series of bars through equally long lookbacks, one ending at every bar; nothing is copied, a lookback is a
strided view. `Lookbacks` are the lookbacks of the target hours themselves: several hours share their newest bar, but each has its
own oldest bar, which is partial where the lookback starts inside it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from feature_backfill.engine.bars import Bars, Booleans, Floats, Integers


def ratio(numerator: Floats, denominator: Floats, if_zero: float = np.nan) -> Floats:
    """numerator / denominator, and if_zero where the denominator is 0."""
    return np.where(denominator == 0, if_zero, numerator / denominator)


def exponential_weights(span: int, bars: int) -> Floats:
    """Weights of a bias-corrected exponential mean over `bars` items, oldest first, adding up to 1.

    (1-a)^j / sum_j (1-a)^j with a = 2/(span+1), j = 0 for the newest.
    """
    powers = (1 - 2 / (span + 1)) ** np.arange(bars)[::-1]
    return np.asarray(powers / powers.sum())


WILDER = 1 / 14


def wilder_weights(bars: int) -> Floats:
    """Weights a(1-a)^j, a = 1/14, of Wilder's mean over `bars` items, oldest first, without the weight of its seed."""
    return np.asarray(WILDER * (1 - WILDER) ** np.arange(bars)[::-1])


class Windows:
    """Lookbacks of `bars` bars over a series.

    series: the bars; bars: bars a lookback; step: bars from one lookback's end to the next. Every array derived from the series
    has the series' length (`close`, `log_return` ...), every result one value a lookback, oldest lookback first.
    """

    def __init__(self, series: Bars, labels: Integers, bars: int, step: int = 1):
        self.open, self.high, self.low = series.open, series.high, series.low
        self.close, self.volume = series.close, series.volume
        self.labels, self.bars, self.step = labels, bars, step

    def tail(self, values: Floats, size: int) -> Floats:
        """lookbacks x size: the last `size` items of every lookback, as a view."""
        return sliding_window_view(values, size)[self.bars - size :: self.step]

    def last(self, values: Floats, lag: int = 0) -> Floats:
        """The newest item of every lookback, or the one `lag` bars before it."""
        return values[self.bars - 1 - lag : len(values) - lag : self.step]

    def weighted_sum(self, values: Floats, weights: Floats) -> Floats:
        """Sum of the newest len(weights) items of every lookback times weights (oldest first)."""
        if self.step == 1:
            return np.correlate(values[self.bars - len(weights) :], weights)
        return np.asarray((self.tail(values, len(weights)) * weights).sum(axis=-1))

    def mean(self, values: Floats, size: int) -> Floats:
        """Mean of the last `size` items; exactly the item where all are equal."""
        return np.where(self.flat(values, size), self.last(values), self.tail(values, size).mean(axis=-1))

    def sum(self, values: Floats, size: int) -> Floats:
        """Sum of the last `size` items."""
        return np.asarray(self.tail(values, size).sum(axis=-1))

    def flat(self, values: Floats, size: int) -> Booleans:
        """Whether the last `size` items are all equal."""
        position = np.arange(len(values))
        run_start = np.maximum.accumulate(np.where(np.r_[True, values[1:] != values[:-1]], position, 0))
        return np.asarray(self.last((position - run_start).astype(np.float64)) >= size - 1)

    def max(self, values: Floats, size: int) -> Floats:
        """Maximum of the last `size` items."""
        return np.asarray(self.tail(values, size).max(axis=-1))

    def min(self, values: Floats, size: int) -> Floats:
        """Minimum of the last `size` items."""
        return np.asarray(self.tail(values, size).min(axis=-1))

    @cached_property
    def previous_close(self) -> Floats:
        """C_{i-1}."""
        return np.r_[np.nan, self.close[:-1]]

    @cached_property
    def change(self) -> Floats:
        """C_i - C_{i-1}."""
        return self.close - self.previous_close

    @cached_property
    def log_return(self) -> Floats:
        """ln(C_i / C_{i-1})."""
        return np.log(self.close / self.previous_close)

    @cached_property
    def simple_return(self) -> Floats:
        """C_i / C_{i-1} - 1."""
        return self.close / self.previous_close - 1

    @cached_property
    def typical_price(self) -> Floats:
        """(H + L + C) / 3."""
        return (self.high + self.low + self.close) / 3

    @cached_property
    def dollar_volume(self) -> Floats:
        """C V."""
        return self.close * self.volume

    @cached_property
    def true_range(self) -> Floats:
        """max(H, C_{i-1}) - min(L, C_{i-1})."""
        return np.maximum(self.high, self.previous_close) - np.minimum(self.low, self.previous_close)

    @cached_property
    def atr_14(self) -> Floats:
        """Plain mean of the last 14 true ranges (not Wilder's); needs 15 bars."""
        return np.asarray(self.tail(self.true_range, 14).mean(axis=-1))

    @cached_property
    def last_close(self) -> Floats:
        """C_T, one a lookback."""
        return self.last(self.close)

    @cached_property
    def close_mean_20(self) -> Floats:
        """Mean of 20 closes in numpy's order of summation."""
        return np.asarray(self.tail(self.close, 20).mean(axis=-1))

    @cached_property
    def close_sd_20(self) -> Floats:
        """Sample standard deviation of 20 closes."""
        return np.asarray(self.tail(self.close, 20).std(axis=-1, ddof=1))

    @cached_property
    def sma_20(self) -> Floats:
        """Mean of 20 closes, exactly the close where all are equal."""
        return self.mean(self.close, 20)

    @cached_property
    def close_sorted_20(self) -> Floats:
        """lookbacks x 20 closes, ascending."""
        return np.sort(self.tail(self.close, 20), axis=-1)

    @cached_property
    def high_20(self) -> Floats:
        """Highest high of 20 bars."""
        return self.max(self.high, 20)

    @cached_property
    def low_20(self) -> Floats:
        """Lowest low of 20 bars."""
        return self.min(self.low, 20)


@dataclass(frozen=True)
class OldestBars:
    """The oldest bar of every target hour's lookback, partial where the lookback starts inside it: 1-D arrays."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


@dataclass(frozen=True)
class Lookbacks:
    """The lookbacks of target hours: which of the windows each one is, and its oldest bar."""

    windows: Windows
    window: Integers
    oldest: OldestBars

    def at_hours(self, values: Floats) -> Floats:
        """One value a window -> one value a target hour."""
        return values[self.window]

    def sum_newer(self, values: Floats) -> Floats:
        """Sum over each lookback without its oldest bar."""
        newer = self.windows.bars - 1
        if newer == 0:
            return np.zeros(len(self.window))
        return self.at_hours(self.windows.weighted_sum(values, np.ones(newer)))

    def bar(self, values: Floats, index: int) -> Floats:
        """The item of every lookback's bar `index`, 0 being the oldest."""
        if self._consecutive:
            return values[self.window[0] + index : self.window[-1] + 1 + index]
        return values[self._start + index]

    @cached_property
    def _start(self) -> Integers:
        return self.window * self.windows.step

    @cached_property
    def _consecutive(self) -> bool:
        """Whether the lookbacks are neighbours, one bar apart."""
        return self.windows.step == 1 and bool((np.diff(self.window) == 1).all())
