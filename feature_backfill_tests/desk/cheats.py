"""Features that cheat, each in its own way."""

import numpy as np

from feature_backfill import ALL_BARS, Feature, Floats, OhlcvWindows, Windows, computes

VERSION = "1.0"

calls = []


@computes(Feature("uses_the_next_bar", 2, "the next close"))
def next_bar(w: Windows) -> Floats:
    """C_{T+1}."""
    return w.last(np.r_[w.close[1:], w.close[-1]])


@computes(Feature("normalised_by_the_batch", 1, "close over the mean of all closes"))
def normalised(w: Windows) -> Floats:
    """C_T / mean of C."""
    return w.last_close / w.close.mean()


@computes(Feature("reads_one_bar_more", 20, "mean of 21 closes"))
def one_bar_more(w: Windows) -> Floats:
    """Mean of C over 21 bars."""
    return w.mean(w.close, 21)


@computes(Feature("keeps_state", 1, "close and the number of calls"))
def state(w: Windows) -> Floats:
    """C_T + calls."""
    calls.append(len(w))
    return w.last_close + len(calls)


@computes(Feature("off_its_reference", 2, "change"), reference=lambda b: b.close[-1] / b.close[-2])
def off_reference(w: Windows) -> Floats:
    """C_T / C_{T-1}."""
    return w.last_close / w.last(w.close, 1) + 1e-6


@computes(Feature("raises", 1, "nothing"))
def raises(w: Windows) -> Floats:
    """Nothing."""
    raise KeyError("a name")


@computes(Feature("has_the_wrong_shape", 1, "close"))
def wrong_shape(w: Windows) -> Floats:
    """C_T."""
    return w.last_close[:-1]


@computes(Feature("sums_since_the_start", 1, "running sum of the close", ALL_BARS))
def running_sum(w: Windows) -> Floats:
    """Sum of C."""
    return w.last(np.cumsum(w.close))


@computes(Feature("reads_an_undeclared_column", 1, "taker volume"))
def undeclared(w: OhlcvWindows) -> Floats:
    """B_T."""
    return w.last(w.column("taker"))


@computes(Feature("fails_in_short_lookbacks", 2, "mean of 10 closes", 10))
def too_few_bars(w: Windows) -> Floats:
    """Mean of C over 10 bars."""
    return w.mean(w.close, 10)


@computes(Feature("reads_the_partial_bar", 1, "volume of all bars", ALL_BARS), reach=0)
def partial_bar(w: OhlcvWindows) -> Floats:
    """Sum of V over all bars."""
    return w.sum(w.volume, w.bars)


@computes(Feature("never_has_a_value", 1, "nothing"))
def nothing(w: Windows) -> Floats:
    """NaN."""
    return np.full(len(w), np.nan)
