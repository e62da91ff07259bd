"""Trailing windows of many target hours at once.

`Windows` looks at one series of bars through equally long lookbacks, one ending at every bar; nothing is copied, their
tails are strided views. `Lookbacks` are the lookbacks of the target hours themselves: several hours share their newest
bar, but each has its own oldest bar, which is partial where the lookback starts inside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, wraps
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from feature_backfill.engine.bars import Bars, Booleans, Floats, Integers
from feature_backfill.engine.sums import mean, sd, total

Shared = TypeVar("Shared", bound=Callable[[Any], Any])


def shared(function: Shared) -> Shared:
    """Compute a function of Windows or Lookbacks, of which several features make use, once for each of them."""

    @wraps(function)
    def remembered(lookbacks: Any) -> Any:
        results = vars(lookbacks).setdefault("shared_results", {})
        if function not in results:
            results[function] = function(lookbacks)
        return results[function]

    return remembered  # type: ignore[return-value]


def ratio(numerator: Floats, denominator: Floats, if_zero: float = np.nan) -> Floats:
    """numerator / denominator, and if_zero where the denominator is 0."""
    return np.where(denominator == 0, if_zero, numerator / denominator)


@cache
def exponential_weights(span: int, bars: int) -> Floats:
    """Weights of a bias-corrected exponential mean over `bars` items, oldest first, adding up to 1.

    (1-a)^j / sum_j (1-a)^j with a = 2/(span+1), j = 0 for the newest.
    """
    powers = (1 - 2 / (span + 1)) ** np.arange(bars)[::-1]
    return np.asarray(powers / powers.sum())


WILDER = 1 / 14


@cache
def wilder_weights(bars: int) -> Floats:
    """Weights a(1-a)^j, a = 1/14, of Wilder's mean over `bars` items, oldest first, without the weight of its seed."""
    return np.asarray(WILDER * (1 - WILDER) ** np.arange(bars)[::-1])


class Windows:
    """Lookbacks of `bars` bars over a series.

    series: the bars; bars: bars a lookback; step: bars from one lookback's end to the next. Every array made from the
    series has its length (`close`, `log_return` ...), every result has one value a lookback, oldest lookback first.
    """

    def __init__(self, series: Bars, labels: Integers, bars: int, step: int = 1):
        self.open, self.high, self.low = series.open, series.high, series.low
        self.close, self.volume = series.close, series.volume
        self.labels, self.bars, self.step = labels, bars, step

    def tail(self, values: Floats, size: int) -> Floats:
        """size x lookbacks: the last `size` items of every lookback, oldest first, as a view."""
        newer = values[self.bars - size :]
        (stride,) = newer.strides
        ends = range(size, len(newer) + 1, self.step)
        return as_strided(newer, (size, len(ends)), (stride, stride * self.step), writeable=False)

    def last(self, values: Floats, lag: int = 0) -> Floats:
        """The newest item of every lookback, or the one `lag` bars before it."""
        return values[self.bars - 1 - lag : len(values) - lag : self.step]

    def weighted_sum(self, values: Floats, weights: Floats) -> Floats:
        """Sum of the newest len(weights) items of every lookback times weights (oldest first)."""
        if self.step == 1:
            return np.correlate(values[self.bars - len(weights) :], weights)
        return total(self.tail(values, len(weights)) * weights[:, None])

    def mean(self, values: Floats, size: int) -> Floats:
        """Mean of the last `size` items; exactly the item where all are equal."""
        return np.where(self.flat(values, size), self.last(values), mean(self.tail(values, size)))

    def sum(self, values: Floats, size: int) -> Floats:
        """Sum of the last `size` items."""
        return total(self.tail(values, size))

    def flat(self, values: Floats, size: int) -> Booleans:
        """Whether the last `size` items are all equal."""
        return self.max(values, size) == self.min(values, size)

    def max(self, values: Floats, size: int, lag: int = 0) -> Floats:
        """Maximum of the last `size` items, or of as many `lag` bars before them."""
        return self._extreme(np.maximum, values, size, lag)

    def min(self, values: Floats, size: int, lag: int = 0) -> Floats:
        """Minimum of the last `size` items, or of as many `lag` bars before them."""
        return self._extreme(np.minimum, values, size, lag)

    def _extreme(self, pick: np.ufunc, values: Floats, size: int, lag: int) -> Floats:
        """The extreme of `width` items is that of two overlapping halves, so widths double up to the size."""
        extremes, width = values[self.bars - size - lag : len(values) - lag], 1
        while width < size:
            shift = min(width, size - width)
            extremes = pick(extremes[:-shift], extremes[shift:])
            width += shift
        return extremes[:: self.step]

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
        return mean(self.tail(self.true_range, 14))

    @cached_property
    def last_close(self) -> Floats:
        """C_T, one a lookback."""
        return self.last(self.close)

    @cached_property
    def close_mean_20(self) -> Floats:
        """Mean of 20 closes in numpy's order of summation."""
        return mean(self.tail(self.close, 20))

    @cached_property
    def close_sd_20(self) -> Floats:
        """Sample standard deviation of 20 closes."""
        return sd(self.tail(self.close, 20))

    @cached_property
    def sma_20(self) -> Floats:
        """Mean of 20 closes, exactly the close where all are equal."""
        return np.where(self.flat(self.close, 20), self.last_close, self.close_mean_20)

    @cached_property
    def ema_12(self) -> Floats:
        """Bias-corrected exponential mean of the close, span 12."""
        return self.weighted_sum(self.close, exponential_weights(12, self.bars))

    @cached_property
    def close_sorted_20(self) -> Floats:
        """20 x lookbacks: the last 20 closes in ascending order."""
        return np.ascontiguousarray(np.sort(self.tail(self.close, 20).T, axis=-1).T)

    @cached_property
    def return_sd_20(self) -> Floats:
        """Sample standard deviation of 20 log returns."""
        return sd(self.tail(self.log_return, 20))

    @cached_property
    def turnover_20(self) -> Floats:
        """Sum of the dollar volume of 20 bars."""
        return self.sum(self.dollar_volume, 20)


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
        """One value a window (the last axis) -> one value a target hour."""
        return values[..., self._consecutive] if self._consecutive else values.take(self.window, axis=-1)

    def sum_newer(self, values: Floats) -> Floats:
        """Sum over each lookback without its oldest bar."""
        newer = self.windows.bars - 1
        if newer == 0:
            return np.zeros(len(self.window))
        return self.at_hours(self.windows.weighted_sum(values, np.ones(newer)))

    def bar(self, values: Floats, index: int) -> Floats:
        """The item of every lookback's bar `index`, 0 being the oldest."""
        return self.at_hours(values[..., index :: self.windows.step])

    @cached_property
    def _consecutive(self) -> slice | None:
        """The windows as a slice, if the target hours' are neighbours."""
        return slice(self.window[0], self.window[-1] + 1) if (np.diff(self.window) == 1).all() else None
