"""The desk's features: two of the close, one of open, high, low and close, and one of a further column.

Try them with `feature-backfill check-features my_desk.features`.
"""

import numpy as np

from feature_backfill import ALL_BARS, Feature, Floats, OhlcvWindows, Windows, computes, exponential_weights, ratio

VERSION = 1
"""Raise it whenever a feature gives other values, and use another feature key."""


@computes(
    Feature("desk_momentum_20", 21, "log return over 20 bars in units of its volatility"),
    reference=lambda bars: sum(bars.log_return[-20:]) / (sum(r * r for r in bars.log_return[-20:]) or np.nan) ** 0.5,
)
def momentum_20(w: Windows) -> Floats:
    """Sum of LR over 20 bars / root of the sum of LR^2 over 20 bars."""
    returns = w.log_return
    return ratio(w.sum(returns, 20), np.sqrt(w.sum(returns**2, 20)))


@computes(Feature("desk_over_ema_50", 50, "close / EMA 50 of the whole lookback - 1", ALL_BARS))
def over_ema_50(w: Windows) -> Floats:
    """C_T / EMA_50(C) - 1."""
    return w.last_close / w.weighted_sum(w.close, exponential_weights(50, w.bars)) - 1


@computes(Feature("desk_close_in_range_5", 5, "mean place of the close between low and high of 5 bars, 0..1"))
def close_in_range_5(w: OhlcvWindows) -> Floats:
    """Mean of (C - L) / (H - L) over 5 bars; a bar without a range counts 0.5."""
    return w.mean(ratio(w.close - w.low, w.high - w.low, if_zero=0.5), 5)


@computes(
    Feature("desk_taker_share_10", 10, "share of taker buys in the volume of 10 bars"),
    columns=["taker_buy_volume"],
    reference=lambda bars: sum(bars.columns["taker_buy_volume"][-10:]) / (sum(bars.volume[-10:]) or np.nan),
)
def taker_share_10(w: OhlcvWindows) -> Floats:
    """Sum of the taker buy volume over 10 bars / sum of V over 10 bars."""
    return ratio(w.sum(w.column("taker_buy_volume"), 10), w.sum(w.volume, 10))
