"""Dependence: how returns and closes depend on those before them."""

import math

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.polyfit import slope_of_equal_values
from feature_backfill.engine.sums import centred, mean, total
from feature_backfill.engine.windows import Windows, ratio

# scipy's would cost every process a third of a second of imports.
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@computes(Feature("close_autocorr_1_30", 32, "correlation of 30 simple returns with those one bar earlier"))
def autocorrelation(w: Windows) -> Floats:
    """Pearson correlation of SR_{T-29} .. SR_T with SR_{T-30} .. SR_{T-1}, each side about its own mean."""
    returns = w.tail(w.simple_return, 31)
    later, earlier = centred(returns[1:]), centred(returns[:-1])
    lengths = np.sqrt(total(later * later)), np.sqrt(total(earlier * earlier))
    return np.clip(ratio(ratio(total(later * earlier), lengths[0]), lengths[1]), -1, 1)


@computes(
    Feature(
        "close_hurst_100",
        100,
        "rounding noise around 0, NaN where returns do not vary: not a Hurst exponent, all lags share one range",
    )
)
def hurst(w: Windows) -> Floats:
    """np.polyfit's slope of ln(R/S) over the logs of the lags 2..19, with the same R/S at every lag.

    R is the range of the running sum of the last 100 log returns (99 from 100 bars) less their mean, S their population
    standard deviation (H. E. Hurst 1951). NaN where S = 0.

    A line through equal values has slope 0, so this is rounding: up to about 1e-15, of either sign. It carries no
    information, yet a tree may have split on it, so the script's rounding is reproduced to the last bit for a script
    that ran on an x86-64 CPU with AVX2. AVX-512 and other CPUs round differently, and a log may differ in its last bit
    between CPUs. Leave the feature out of new models; for a model that splits on it, compare predictions from rows of
    the script and of this engine for the same hours before switching.
    """
    deviations = centred(w.tail(w.log_return, min(100, w.bars - 1)))
    sd = np.sqrt(mean(deviations**2))
    return slope_of_equal_values(np.log(ratio(_range_of_running_sum(deviations), sd)))


def _range_of_running_sum(items: Floats) -> Floats:
    running, highest, lowest = items[0].copy(), items[0].copy(), items[0].copy()
    for item in items[1:]:
        running += item
        np.maximum(highest, running, out=highest)
        np.minimum(lowest, running, out=lowest)
    return highest - lowest


@computes(Feature("close_roll_spread_20", 21, "Roll's effective spread; NaN unless changes of the close reverse"))
def roll_spread(w: Windows) -> Floats:
    """2 sqrt(-cov) of the 19 pairs of successive changes among the last 20; NaN if cov >= 0 (R. Roll 1984).

    A change is C_i - C_{i-1}. The covariance has the divisor 18, and each side its own mean.
    """
    changes = w.tail(w.change, 20)
    covariance = total(centred(changes[1:]) * centred(changes[:-1])) / 18
    return np.where(covariance >= 0, np.nan, 2 * np.sqrt(np.abs(covariance)))


@computes(
    Feature(
        "close_ljung_p_5_100",
        101,
        "chi-square tail of a sum of squared returns, not the p-value of Ljung and Box: no lagged products are in it",
    )
)
def ljung(w: Windows) -> Floats:
    """Upper tail of chi-square (5 degrees) at Q = N(N+2) sum_k rho_k^2 / (N-k), k = 1..5.

    rho_k is the share of a_k^2 .. a_{N-1-k}^2 in the sum of all a^2, a being the N = 100 log returns less their mean;
    the test of Ljung and Box has the products a_i a_{i-k} there. The value is nearly 0 unless one move dominates and
    lies within 5 bars of an end of the window.
    """
    size = 100
    squares = centred(w.tail(w.log_return, size)) ** 2
    every = total(squares)
    shares = [ratio(total(squares[lag : size - lag]), every) for lag in range(1, 6)]
    q = size * (size + 2) * sum(share**2 / (size - lag) for lag, share in enumerate(shares, 1))
    return np.asarray(_erfc(np.sqrt(q / 2)) + np.sqrt(2 * q / np.pi) * np.exp(-q / 2) * (1 + q / 3))


@computes(
    Feature(
        "close_perm_entropy_3_50",
        50,
        "entropy of ordinal patterns of 3 closes, over those seen; -infinity when only one is",
    )
)
def permutation_entropy(w: Windows) -> Floats:
    """-sum of p ln(p + 1e-12) / ln m, p being the shares of the m ordinal patterns seen (C. Bandt, B. Pompe 2002).

    The patterns are those of the 48 triples of successive closes among 50; equal closes count as rising. m counts the
    patterns that occur, not the 6 that could. With a single one the value is -infinity.
    """
    first, second, third = w.close[:-2], w.close[1:-1], w.close[2:]
    pattern = 4 * (second < first) + 2 * (third < second) + (third < first)
    seen = [np.r_[0, 0, np.cumsum(pattern == code)] for code in range(8)]
    counts = np.stack([w.last(times) - w.last(times, 48) for times in seen])
    shares = np.arange(49) / 48
    terms = -shares * np.log(shares + 1e-12)
    patterns = (counts > 0).sum(axis=0)
    return total(terms[counts]) / np.log(patterns)


@computes(
    Feature(
        "close_ou_halflife_100",
        101,
        "half-life in bars of an Ornstein-Uhlenbeck fit of 101 closes; NaN unless they revert",
    )
)
def ou_halflife(w: Windows) -> Floats:
    """-ln 2 / b, b being the slope of C_{i+1} - C_i on C_i over 101 closes; NaN if b >= 0."""
    closes = w.tail(w.close, 101)
    level = centred(closes[:-1])
    beta = ratio(total(level * (closes[1:] - closes[:-1])), total(level * level))
    return np.where(beta >= 0, np.nan, -np.log(2) / beta)
