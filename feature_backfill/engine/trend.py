"""Trend: moving averages, the distance of the close from them, MACD."""

from functools import cache

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import ALL_BARS, Feature, computes
from feature_backfill.engine.windows import ATR_REACH, OhlcvWindows, Windows, exponential_weights, ratio


@computes(
    Feature("close_sma_20", 20, "mean of 20 closes"),
    Feature("close_ma_distance_sma20", 20, "close - its 20-bar mean"),
    Feature("close_ma_distance_pct_sma20", 20, "distance of the close from its 20-bar mean in percent"),
)
def simple_mean_20(w: Windows) -> tuple[Floats, ...]:
    """m = mean of C over 20 bars; C_T - m; 100 (C_T - m) / m."""
    distance = w.last_close - w.sma_20
    return w.sma_20, distance, ratio(distance, w.sma_20) * 100


@computes(
    Feature("close_dist_sma20_atr", 20, "distance of the close from its 20-bar mean in units of ATR"), reach=ATR_REACH
)
def simple_distance(w: OhlcvWindows) -> Floats:
    """(C_T - mean of C over 20 bars) / ATR."""
    return ratio(w.last_close - w.sma_20, w.atr_14)


@computes(Feature("close_wma_20", 20, "mean of 20 closes with weights 1 (oldest) .. 20"))
def weighted_mean_20(w: Windows) -> Floats:
    """Sum of i C_{T-20+i} over i = 1..20, divided by 210."""
    return w.weighted_sum(w.close, np.arange(1.0, 21.0)) / 210


@computes(
    Feature("close_ma_cross_diff_5_20", 20, "5-bar mean - 20-bar mean of the close"),
    Feature("close_ma_cross_ratio_5_20", 20, "5-bar mean / 20-bar mean of the close"),
    Feature("close_ma_cross_signal_5_20", 20, "1 while the 5-bar mean is above the 20-bar mean, else 0"),
)
def mean_cross(w: Windows) -> tuple[Floats, ...]:
    """m5 - m20; m5 / m20; 1 if m5 > m20, else 0, with m5 and m20 the means of C over 5 and over 20 bars."""
    fast = w.mean(w.close, 5)
    return fast - w.sma_20, ratio(fast, w.sma_20), (fast > w.sma_20).astype(np.float64)


@computes(
    Feature("close_ema_12", 12, "exponential mean of the close, span 12, over the whole lookback", ALL_BARS),
    Feature("close_over_ema_12", 12, "close / its exponential mean", ALL_BARS),
    Feature("close_log_ratio_ema_12", 12, "ln(close / its exponential mean)", ALL_BARS),
)
def exponential_mean_12(w: Windows) -> tuple[Floats, ...]:
    """EMA_12(C); C_T / EMA_12(C); ln(C_T / EMA_12(C)).

    The EMA runs over the whole lookback, so it depends on base_hours.
    """
    over = w.last_close / w.ema_12
    return w.ema_12, over, np.log(over)


@computes(
    Feature("close_dist_ema12_atr", 15, "distance of the close from its exponential mean in units of ATR", ALL_BARS),
    reach=ATR_REACH,
)
def exponential_distance(w: OhlcvWindows) -> Floats:
    """(C_T - EMA_12(C)) / ATR."""
    return ratio(w.last_close - w.ema_12, w.atr_14)


def macd_weights(bars: int) -> Floats:
    """Weights (oldest first) that turn `bars` closes into EMA_12 - EMA_26."""
    return exponential_weights(12, bars) - exponential_weights(26, bars)


@cache
def macd_signal_weights(bars: int) -> Floats:
    """Weights (oldest first) that turn `bars` closes into the signal: EMA_9 over the MACD of all bars since the oldest.

    The MACD of a bar is a weighted sum of the bars up to it, so its mean is one of all bars.
    """
    shares = exponential_weights(9, bars)
    return _mean_of_means(shares, 12) - _mean_of_means(shares, 26)


def _mean_of_means(shares: Floats, span: int) -> Floats:
    """Weights of closes in sum_t shares_t EMA_span(bars 0..t): close i has sum_{t>=i} shares_t (1-a)^(t-i) / norm_t."""
    decay = 1 - 2 / (span + 1)
    norms = np.cumsum(decay ** np.arange(len(shares)))
    weights = np.empty(len(shares))
    weight = 0.0
    for bar in reversed(range(len(shares))):
        weight = shares[bar] / norms[bar] + decay * weight
        weights[bar] = weight
    return weights


@computes(
    Feature("close_macd_line_12_26", 26, "EMA 12 - EMA 26 of the close", ALL_BARS),
    Feature("close_macd_signal_9", 26, "EMA 9 of the MACD line since the oldest bar", ALL_BARS),
    Feature("close_macd_histogram_12_26_9", 26, "MACD line - signal", ALL_BARS),
    Feature("close_macd_line_12_26_over_close", 26, "MACD line / close", ALL_BARS),
    Feature("close_macd_histogram_12_26_9_over_close", 26, "MACD histogram / close", ALL_BARS),
    Feature("close_macd_line_12_26_over_atr14", 26, "MACD line / ATR", ALL_BARS),
    Feature("close_macd_histogram_12_26_9_over_atr14", 26, "MACD histogram / ATR", ALL_BARS),
    reach=ATR_REACH,
)
def macd(w: OhlcvWindows) -> tuple[Floats, ...]:
    """M = EMA_12(C) - EMA_26(C); S = EMA_9(M); M - S; M / C_T; (M - S) / C_T; M / ATR; (M - S) / ATR.

    S averages the MACD of every bar since the oldest, whose MACD is 0. All are reported from 26 bars on, not from the
    34 after which the signal usually counts as settled.
    """
    line = w.weighted_sum(w.close, macd_weights(w.bars))
    signal = w.weighted_sum(w.close, macd_signal_weights(w.bars))
    histogram = line - signal
    over_close = ratio(line, w.last_close), ratio(histogram, w.last_close)
    over_atr = ratio(line, w.atr_14), ratio(histogram, w.atr_14)
    return line, signal, histogram, *over_close, *over_atr
