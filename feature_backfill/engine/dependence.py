"""Dependence: how returns and closes hang together over time."""

import math

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.sums import centred, total, variance
from feature_backfill.engine.windows import Windows, ratio

# scipy's would cost every process a third of a second of imports.
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@computes(Feature(62, "close_autocorr_1_30", 32, "correlation of 30 simple returns with those one bar earlier"))
def autocorrelation(w: Windows) -> Floats:
    """Pearson correlation of x_1..x_30 with x_0..x_29, each side about its own mean."""
    returns = w.tail(w.simple_return, 31)
    later, earlier = centred(returns[1:]), centred(returns[:-1])
    scale = np.sqrt(total(later * later) * total(earlier * earlier))
    return np.clip(ratio(total(later * earlier), scale), -1, 1)


@computes(
    Feature(
        63,
        "close_hurst_100",
        100,
        "always 0, NaN where returns do not vary: not a Hurst exponent, each lag takes the range of the whole sample",
    )
)
def hurst(w: Windows) -> Floats:
    """0 where the last 100 log returns (99 from 100 bars) vary."""
    returns = w.tail(w.log_return, min(100, w.bars - 1))
    return np.where(variance(returns) == 0, np.nan, 0.0)


@computes(Feature(102, "close_roll_spread_20", 21, "Roll's effective spread; NaN unless changes of the close reverse"))
def roll_spread(w: Windows) -> Floats:
    """2 sqrt(-cov) of the 19 pairs of neighbours among 20 close differences, NaN where cov >= 0 (R. Roll 1984)."""
    changes = w.tail(w.change, 20)
    covariance = total(centred(changes[1:]) * centred(changes[:-1])) / 18
    return np.where(covariance >= 0, np.nan, 2 * np.sqrt(np.abs(covariance)))


@computes(
    Feature(
        105,
        "close_ljung_p_5_100",
        101,
        "chi-square tail of a sum of squared returns, not the p-value of Ljung and Box: no lagged products are in it",
    )
)
def ljung(w: Windows) -> Floats:
    """Upper tail of chi-square (5 degrees) at Q = N(N+2) sum_k rho_k^2/(N-k), k = 1..5.

    rho_k is the share of a_k^2 .. a_{N-1-k}^2 in sum a^2, a the N = 100 log returns less their mean.
    """
    size = 100
    squares = centred(w.tail(w.log_return, size)) ** 2
    every = total(squares)
    shares = [ratio(total(squares[lag : size - lag]), every) for lag in range(1, 6)]
    q = size * (size + 2) * sum(share**2 / (size - lag) for lag, share in enumerate(shares, 1))
    return np.asarray(_erfc(np.sqrt(q / 2)) + np.sqrt(2 * q / np.pi) * np.exp(-q / 2) * (1 + q / 3))


@computes(
    Feature(
        106,
        "close_perm_entropy_3_50",
        50,
        "entropy of ordinal patterns of 3 closes, over those seen; -infinity when only one is",
    )
)
def permutation_entropy(w: Windows) -> Floats:
    """-sum p ln(p + 1e-12) / ln m over the m ordinal patterns among 48 triples (C. Bandt, B. Pompe 2002)."""
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
        107,
        "close_ou_halflife_100",
        101,
        "half-life in bars of an Ornstein-Uhlenbeck fit of 101 closes; NaN unless they revert",
    )
)
def ou_halflife(w: Windows) -> Floats:
    """-ln 2 / beta, beta the slope of p_{i+1} - p_i on p_i."""
    closes = w.tail(w.close, 101)
    level = centred(closes[:-1])
    beta = ratio(total(level * (closes[1:] - closes[:-1])), total(level * level))
    return np.where(beta >= 0, np.nan, -np.log(2) / beta)
