"""Dependence: how returns and closes depend on those before them."""

import math

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.sums import centred, total, variance
from feature_backfill.engine.windows import Windows, ratio

# scipy's would cost every process a third of a second of imports.
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@computes(Feature("close_autocorr_1_30", 32, "correlation of 30 simple returns with those one bar earlier"))
def autocorrelation(w: Windows) -> Floats:
    """Pearson correlation of SR_{T-29} .. SR_T with SR_{T-30} .. SR_{T-1}, each side about its own mean."""
    returns = w.tail(w.simple_return, 31)
    later, earlier = centred(returns[1:]), centred(returns[:-1])
    scale = np.sqrt(total(later * later) * total(earlier * earlier))
    return np.clip(ratio(total(later * earlier), scale), -1, 1)


@computes(
    Feature(
        "close_hurst_100",
        100,
        "always 0, NaN where returns do not vary: not a Hurst exponent, each lag takes the range of the whole sample",
    )
)
def hurst(w: Windows) -> Floats:
    """0 where the last 100 log returns (99 from 100 bars) vary."""
    returns = w.tail(w.log_return, min(100, w.bars - 1))
    return np.where(variance(returns) == 0, np.nan, 0.0)


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
