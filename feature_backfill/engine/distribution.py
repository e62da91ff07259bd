"""Distribution: order statistics, moments and tails of recent closes and returns."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.sums import mean, total
from feature_backfill.engine.windows import Windows, ratio


def _percentile(ordered: Floats, share: float, size: int) -> Floats:
    """Percentile with linear interpolation between neighbours, from items in ascending order along the first axis."""
    place = (size - 1) * share
    below = int(place)
    weight = place - below
    lower, upper = ordered[below], ordered[below + 1]
    step = upper - lower
    return lower + step * weight if weight < 0.5 else upper - step * (1 - weight)


@computes(
    Feature("close_percentile_25_20", 20, "25th percentile of 20 closes"),
    Feature("close_percentile_50_20", 20, "median of 20 closes"),
    Feature("close_percentile_75_20", 20, "75th percentile of 20 closes"),
)
def percentiles(w: Windows) -> tuple[Floats, ...]:
    """q(C over 20 bars, p), p = 0.25; 0.5; 0.75."""
    return tuple(_percentile(w.close_sorted_20, share, 20) for share in (0.25, 0.5, 0.75))


@computes(
    Feature("close_skew_30", 31, "biased skewness of 30 simple returns"),
    Feature("close_kurt_30", 31, "biased excess kurtosis of 30 simple returns"),
)
def moments(w: Windows) -> tuple[Floats, Floats]:
    """m3 / m2^1.5; m4 / m2^2 - 3, m_k being the central moments of SR over 30 bars.

    Simple returns and divisor 30, so both are biased. NaN if m2 is no more than rounding of the mean.
    """
    returns = w.tail(w.simple_return, 30)
    average = mean(returns)
    deviation = returns - average
    square = deviation * deviation
    m2, m3, m4 = mean(square), mean(square * deviation), mean(square * square)
    constant = m2 <= (1e-15 * average) ** 2
    return np.where(constant, np.nan, m3 / (m2 * np.sqrt(m2))), np.where(constant, np.nan, m4 / m2**2 - 3)


@computes(Feature("close_entropy_20", 20, "entropy of a 10-bin histogram of 20 closes"))
def histogram_entropy(w: Windows) -> Floats:
    """-sum of p ln(p + 1e-10), p being the shares of C over 20 bars in 10 bins.

    The bins are equal parts of the range from the lowest to the highest close, closed on the left, the last on both
    sides. If all closes are equal, the range is widened by 0.5 either way.
    """
    lowest, highest = w.close_sorted_20[0], w.close_sorted_20[-1]
    flat = lowest == highest
    low, high = np.where(flat, lowest - 0.5, lowest), np.where(flat, highest + 0.5, highest)
    edges = np.arange(10)[:, None] * ((high - low) / 10) + low
    at_or_above = np.stack([np.sum(w.close_sorted_20 >= edge, axis=0, dtype=np.int8) for edge in edges[1:]])
    counts = -np.diff(at_or_above, axis=0, prepend=20, append=0)
    shares = np.arange(21) / 20
    terms = -shares * np.log(shares + 1e-10)
    indistinct = (np.diff(edges, axis=0, append=high[None]) <= 0).any(axis=0)
    return np.where(indistinct, np.nan, total(terms[counts]))


@computes(
    Feature("close_var_5_50", 51, "5 % value at risk: 5th percentile of 50 log returns, negative for a loss"),
    Feature("close_cvar_5_50", 51, "mean of the log returns at or below the value at risk"),
)
def value_at_risk(w: Windows) -> tuple[Floats, Floats]:
    """v = q(LR over 50 bars, 0.05); the mean of those LR that are at most v."""
    returns = w.tail(w.log_return, 50)
    risk = _percentile(np.partition(returns.T, (2, 3), axis=-1).T, 0.05, 50)
    beyond = returns <= risk
    return risk, total(np.where(beyond, returns, 0.0)) / np.sum(beyond, axis=0, dtype=np.int8)


@computes(
    Feature("close_ret_zscore_20", 21, "last log return's distance from the mean of 20, in sample standard deviations")
)
def return_zscore(w: Windows) -> Floats:
    """(LR_T - m) / s, m and s being mean and sd of LR over 20 bars.

    The newest return is one of the 20.
    """
    return ratio(w.last(w.log_return) - mean(w.tail(w.log_return, 20)), w.return_sd_20)
