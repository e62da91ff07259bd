"""Distribution: order statistics, moments and tails of recent closes and returns."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.windows import Windows, ratio


def _percentile(ordered: Floats, share: float, size: int) -> Floats:
    """Percentile with linear interpolation between neighbours, from items in ascending order along the last axis."""
    place = (size - 1) * share
    below = int(place)
    weight = place - below
    lower, upper = ordered[:, below], ordered[:, below + 1]
    step = upper - lower
    return lower + step * weight if weight < 0.5 else upper - step * (1 - weight)


@computes(
    Feature(57, "close_percentile_25_20", 20, "25th percentile of 20 closes"),
    Feature(58, "close_percentile_50_20", 20, "median of 20 closes"),
    Feature(59, "close_percentile_75_20", 20, "75th percentile of 20 closes"),
)
def percentiles(w: Windows) -> tuple[Floats, ...]:
    """Linear interpolation between order statistics."""
    return tuple(_percentile(w.close_sorted_20, share, 20) for share in (0.25, 0.5, 0.75))


@computes(
    Feature(60, "close_skew_30", 31, "biased skewness of 30 simple returns"),
    Feature(61, "close_kurt_30", 31, "biased excess kurtosis of 30 simple returns"),
)
def moments(w: Windows) -> tuple[Floats, Floats]:
    """m3 / m2^1.5 and m4 / m2^2 - 3; NaN where m2 is no more than rounding of the mean."""
    returns = w.tail(w.simple_return, 30)
    mean = returns.mean(axis=-1, keepdims=True)
    deviation = returns - mean
    square = deviation * deviation
    m2, m3, m4 = square.mean(axis=-1), (square * deviation).mean(axis=-1), (square * square).mean(axis=-1)
    constant = m2 <= (1e-15 * mean[:, 0]) ** 2
    return np.where(constant, np.nan, m3 / m2**1.5), np.where(constant, np.nan, m4 / m2**2 - 3)


@computes(Feature(64, "close_entropy_20", 20, "entropy of a 10-bin histogram of 20 closes"))
def histogram_entropy(w: Windows) -> Floats:
    """-sum p ln(p + 1e-10) over 10 equal bins from the lowest to the highest close, the last one closed on the right."""
    lowest, highest = w.close_sorted_20[:, 0], w.close_sorted_20[:, -1]
    flat = lowest == highest
    low, high = np.where(flat, lowest - 0.5, lowest), np.where(flat, highest + 0.5, highest)
    edges = np.arange(10)[:, None] * ((high - low) / 10) + low
    at_or_above = np.stack([(w.close_sorted_20 >= edge[:, None]).sum(axis=-1) for edge in edges[1:]], axis=-1)
    counts = -np.diff(at_or_above, axis=-1, prepend=20, append=0)
    shares = np.arange(21) / 20
    terms = -shares * np.log(shares + 1e-10)
    indistinct = (np.diff(edges, axis=0, append=high[None]) <= 0).any(axis=0)
    return np.where(indistinct, np.nan, terms[counts].sum(axis=-1))


@computes(
    Feature(108, "close_var_5_50", 51, "5 % value at risk: 5th percentile of 50 log returns, negative for a loss"),
    Feature(109, "close_cvar_5_50", 51, "mean of the log returns at or below the value at risk"),
)
def value_at_risk(w: Windows) -> tuple[Floats, Floats]:
    """5th percentile of LR, and the mean of what does not exceed it."""
    returns = w.tail(w.log_return, 50)
    risk = _percentile(np.partition(returns, (2, 3), axis=-1), 0.05, 50)
    beyond = returns <= risk[:, None]
    return risk, np.where(beyond, returns, 0.0).sum(axis=-1) / beyond.sum(axis=-1)


@computes(
    Feature(
        100, "close_ret_zscore_20", 21, "last log return's distance from the mean of 20, in sample standard deviations"
    )
)
def return_zscore(w: Windows) -> Floats:
    """(last - mean)/sd of LR."""
    returns = w.tail(w.log_return, 20)
    return ratio(w.last(w.log_return) - returns.mean(axis=-1), returns.std(axis=-1, ddof=1))
