"""Momentum: oscillators of the close within its recent range, and of gains against losses."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import ALL_BARS, Feature, computes
from feature_backfill.engine.sums import centred, mean
from feature_backfill.engine.windows import OhlcvWindows, Windows, ratio, wilder_weights


@computes(
    Feature(
        "close_rsi_14",
        15,
        "relative strength index; Wilder means seeded with 0 at the oldest bar; 100 without losses",
        ALL_BARS,
    )
)
def relative_strength_index(w: Windows) -> Floats:
    """100 - 100 / (1 + G/D), G = RMA of max(d, 0), D = RMA of max(-d, 0), d_i = C_i - C_{i-1}; 100 if D = 0.

    Both means start with a 0 for the oldest bar, not with the mean of the first 14 changes (J. W. Wilder 1978). The
    value is 100 without losses, also if the close never moves.
    """
    weights = wilder_weights(w.bars - 1)
    gain = w.weighted_sum(np.maximum(w.change, 0), weights)
    loss = w.weighted_sum(np.maximum(-w.change, 0), weights)
    return np.where(loss == 0, 100.0, 100 - 100 / (1 + gain / loss))


@computes(
    Feature(
        "close_stoch_k_14", 14, "position of the close in the high-low range of 14 bars, 0..100; 50 without a range"
    ),
    Feature(
        "close_williams_r_14", 14, "close_stoch_k_14 counted from the top of the range, -100..0; -50 without a range"
    ),
)
def stochastic(w: OhlcvWindows) -> tuple[Floats, Floats]:
    """100 (C_T - l) / (h - l), 50 if h = l; -100 (h - C_T) / (h - l), -50 if h = l.

    h and l are the highest H and the lowest L of 14 bars.
    """
    highest, lowest = w.max(w.high, 14), w.min(w.low, 14)
    width = highest - lowest
    k = ratio(100 * (w.last_close - lowest), width, if_zero=50)
    return k, ratio(-100 * (highest - w.last_close), width, if_zero=-50)


@computes(Feature("close_stoch_d_14_3", 16, "mean of the stochastic of the last 3 bars"))
def stochastic_mean(w: OhlcvWindows) -> Floats:
    """(K_T + K_{T-1} + K_{T-2}) / 3, K_t being close_stoch_k_14 of the 14 bars that end with bar t."""
    k = []
    for lag in range(3):
        highest, lowest = w.max(w.high, 14, lag), w.min(w.low, 14, lag)
        k.append(ratio(100 * (w.last(w.close, lag) - lowest), highest - lowest, if_zero=50))
    return (k[2] + k[1] + k[0]) / 3


@computes(Feature("close_cci_20", 20, "commodity channel index of 20 typical prices"))
def commodity_channel_index(w: OhlcvWindows) -> Floats:
    """(TP_T - m) / (0.015 MD), m = mean of TP over 20 bars, MD = mean of |TP - m|; NaN if MD = 0."""
    prices = w.tail(w.typical_price, 20)
    deviation = mean(np.abs(centred(prices)))
    distance = w.last(w.typical_price) - w.mean(w.typical_price, 20)
    return np.where(deviation == 0, np.nan, distance / (0.015 * deviation))


@computes(Feature("close_uo_7_14_28", 29, "ultimate oscillator over 7, 14 and 28 bars"), reach=28)
def ultimate_oscillator(w: OhlcvWindows) -> Floats:
    """100/7 (4 A_7 + 2 A_14 + A_28), A_p = sum of BP / sum of TR over p bars (L. Williams 1985).

    BP_i = C_i - min(L_i, C_{i-1}). The first bar has neither BP nor TR, so 29 bars are needed.
    """
    true_low = np.minimum(w.low, w.previous_close)
    pressure = w.close - true_low
    true_range = np.maximum(w.high, w.previous_close) - true_low
    averages = [w.sum(pressure, size) / w.sum(true_range, size) for size in (7, 14, 28)]
    return np.asarray(100 / 7 * (4 * averages[0] + 2 * averages[1] + averages[2]))


@computes(Feature("close_mfi_14", 15, "money flow index; 100 without negative flow, also without any"))
def money_flow_index(w: OhlcvWindows) -> Floats:
    """100 - 100 / (1 + P/N); 100 if N = 0.

    P and N are the sums of TP V over those of 14 bars whose TP rose and fell. Without any flow the value is 100 too.
    """
    flow = w.typical_price * w.volume
    rise = np.r_[np.nan, np.diff(w.typical_price)]
    positive = w.sum(np.where(rise > 0, flow, 0.0), 14)
    negative = w.sum(np.where(rise < 0, flow, 0.0), 14)
    return np.where(negative == 0, 100.0, 100 - 100 / (1 + positive / negative))
