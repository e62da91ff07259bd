"""Trailing windows that end at every bar of a series.

`Windows` looks at the closes of one series of bars through equally long lookbacks, one ending at every bar; nothing is
copied, their tails are strided views. `OhlcvWindows` adds open, high, low and volume.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property, wraps
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from feature_backfill.engine.bars import Bars, Booleans, Floats, Integers
from feature_backfill.engine.sums import mean, sd, total

Shared = TypeVar("Shared", bound=Callable[[Any], Any])


def locked(values: Any) -> Any:
    """The array, or the arrays of a tuple, which nobody can change any more: several features read them."""
    for array in values if isinstance(values, tuple) else (values,):
        array.setflags(write=False)
    return values


def series(function: Callable[[Any], Floats]) -> "cached_property[Floats]":
    """An array that is made of windows when it is first read, and kept."""
    return cached_property(wraps(function)(lambda windows: locked(function(windows))))


def shared(function: Shared) -> Shared:
    """Compute a function of Windows or Lookbacks, of which several features make use, once for each of them."""

    @wraps(function)
    def remembered(lookbacks: Any) -> Any:
        results = vars(lookbacks).setdefault("shared_results", {})
        if function not in results:
            results[function] = locked(function(lookbacks))
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
ATR_REACH = 14
"""Bars whose high and low the ATR reads; of the bar before them it reads the close."""


@cache
def wilder_weights(bars: int) -> Floats:
    """Weights a(1-a)^j, a = 1/14, of Wilder's mean over `bars` items, oldest first, without the weight of its seed."""
    return np.asarray(WILDER * (1 - WILDER) ** np.arange(bars)[::-1])


class TooFewBarsError(ValueError):
    """A feature needs more bars than a lookback keeps."""


class UndeclaredColumnError(ValueError):
    """A function reads a further column that its declaration does not name."""


class Windows:
    """Lookbacks of `bars` bars over a series of closes.

    close: the series; labels: of every lookback's newest bar; bars: bars a lookback; step: bars from the end of one
    lookback to that of the next. Arrays made from the series have its length (`close`, `log_return` ...); every result
    has one value a lookback, oldest lookback first.
    """

    def __init__(self, close: Floats, labels: Integers, bars: int, step: int = 1):
        self.close, self.labels, self.bars, self.step = close, labels, bars, step

    def __len__(self) -> int:
        """How many lookbacks there are."""
        return len(self.labels)

    def tail(self, values: Floats, size: int) -> Floats:
        """size x lookbacks: the last `size` items of every lookback, oldest first, as a view.

        Raises TooFewBarsError, as all methods do, if a lookback has fewer items.
        """
        self._require(size)
        newer = values[self.bars - size :]
        (stride,) = newer.strides
        ends = range(size, len(newer) + 1, self.step)
        return as_strided(newer, (size, len(ends)), (stride, stride * self.step), writeable=False)

    def last(self, values: Floats, lag: int = 0) -> Floats:
        """The newest item of every lookback, or the one `lag` bars before it."""
        self._require(1 + lag)
        return values[self.bars - 1 - lag : len(values) - lag : self.step]

    def weighted_sum(self, values: Floats, weights: Floats) -> Floats:
        """Sum of the newest len(weights) items of every lookback times weights (oldest first)."""
        if self.step == 1:
            self._require(len(weights))
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
        self._require(size + lag)
        extremes, width = values[self.bars - size - lag : len(values) - lag], 1
        while width < size:
            shift = min(width, size - width)
            extremes = pick(extremes[:-shift], extremes[shift:])
            width += shift
        return extremes[:: self.step]

    def _require(self, bars: int) -> None:
        if bars > self.bars:
            raise TooFewBarsError(f"{bars} bars are read of lookbacks that keep {self.bars}")

    @series
    def previous_close(self) -> Floats:
        """C_{i-1}."""
        return np.r_[np.nan, self.close[:-1]]

    @series
    def change(self) -> Floats:
        """C_i - C_{i-1}."""
        return self.close - self.previous_close

    @series
    def log_return(self) -> Floats:
        """ln(C_i / C_{i-1})."""
        return np.log(self.close / self.previous_close)

    @series
    def simple_return(self) -> Floats:
        """C_i / C_{i-1} - 1."""
        return self.close / self.previous_close - 1

    @series
    def last_close(self) -> Floats:
        """C_T, one a lookback."""
        return self.last(self.close)

    @series
    def close_mean_20(self) -> Floats:
        """Mean of 20 closes in numpy's order of summation."""
        return mean(self.tail(self.close, 20))

    @series
    def close_sd_20(self) -> Floats:
        """Sample standard deviation of 20 closes."""
        return sd(self.tail(self.close, 20))

    @series
    def sma_20(self) -> Floats:
        """Mean of 20 closes, exactly the close where all are equal."""
        return np.where(self.flat(self.close, 20), self.last_close, self.close_mean_20)

    @series
    def ema_12(self) -> Floats:
        """Bias-corrected exponential mean of the close, span 12."""
        return self.weighted_sum(self.close, exponential_weights(12, self.bars))

    @series
    def close_sorted_20(self) -> Floats:
        """20 x lookbacks: the last 20 closes in ascending order."""
        return np.ascontiguousarray(np.sort(self.tail(self.close, 20).T, axis=-1).T)

    @series
    def return_sd_20(self) -> Floats:
        """Sample standard deviation of 20 log returns."""
        return sd(self.tail(self.log_return, 20))


class OhlcvWindows(Windows):
    """Lookbacks of `bars` bars over a series of bars; the other arguments are those of Windows."""

    def __init__(self, bars_seen: Bars, labels: Integers, bars: int, step: int = 1):
        values = bars_seen.values
        super().__init__(values.close, labels, bars, step)
        self.series = bars_seen
        self.declared: Sequence[str] = ()
        self.open, self.high, self.low, self.volume = values.open, values.high, values.low, values.volume

    def column(self, name: str) -> Floats:
        """A further column of the series. Raises UndeclaredColumnError if the function has not declared it."""
        if name not in self.declared:
            raise UndeclaredColumnError(f"the column {name} is read without being declared")
        return self.series.values.columns[name]

    @series
    def typical_price(self) -> Floats:
        """(H + L + C) / 3."""
        return (self.high + self.low + self.close) / 3

    @series
    def dollar_volume(self) -> Floats:
        """C V."""
        return self.close * self.volume

    @series
    def true_range(self) -> Floats:
        """max(H, C_{i-1}) - min(L, C_{i-1})."""
        return np.maximum(self.high, self.previous_close) - np.minimum(self.low, self.previous_close)

    @series
    def atr_14(self) -> Floats:
        """Plain mean (not Wilder's) of the last 14 true ranges; needs 15 bars."""
        return mean(self.tail(self.true_range, 14))

    @series
    def turnover_20(self) -> Floats:
        """Sum of the dollar volume of 20 bars."""
        return self.sum(self.dollar_volume, 20)
