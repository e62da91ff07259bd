"""Price: where the newest bar stands and how far the close has come."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.windows import OhlcvWindows, Windows, ratio


@computes(
    Feature("close_open_diff_current", 1, "close - open of the newest bar"),
    Feature("high_low_range_current", 1, "high - low of the newest bar"),
    Feature("close_typical_price", 1, "(high + low + close) / 3"),
    Feature("close_ohlc_average", 1, "(open + high + low + close) / 4"),
)
def newest_bar(w: OhlcvWindows) -> tuple[Floats, ...]:
    """C_T - O_T; H_T - L_T; (H_T + L_T + C_T) / 3; (O_T + H_T + L_T + C_T) / 4."""
    opens, high, low, close = w.last(w.open), w.last(w.high), w.last(w.low), w.last_close
    return close - opens, high - low, (high + low + close) / 3, (opens + high + low + close) / 4


@computes(Feature("log_close", 1, "natural log of the close"))
def log_close(w: Windows) -> Floats:
    """ln C_T."""
    return np.log(w.last_close)


@computes(
    Feature("close_change_current", 2, "close - previous close"),
    Feature("close_pct_change_current", 2, "change from the previous close in percent"),
)
def change(w: Windows) -> tuple[Floats, ...]:
    """d = C_T - C_{T-1}; 100 d / C_{T-1}."""
    step = w.last(w.change)
    return step, ratio(step, w.last(w.close, 1)) * 100


@computes(Feature("close_cum_return_5", 6, "sum of the last 5 log returns"))
def cumulative_return_5(w: Windows) -> Floats:
    """Sum of LR over 5 bars."""
    return w.sum(w.log_return, 5)


@computes(Feature("close_cum_return_10", 11, "sum of the last 10 log returns"))
def cumulative_return_10(w: Windows) -> Floats:
    """Sum of LR over 10 bars."""
    return w.sum(w.log_return, 10)


@computes(Feature("close_cum_return_20", 21, "sum of the last 20 log returns"))
def cumulative_return_20(w: Windows) -> Floats:
    """Sum of LR over 20 bars."""
    return w.sum(w.log_return, 20)


@computes(Feature("close_roc_10", 11, "change over 10 bars in percent"))
def rate_of_change_10(w: Windows) -> Floats:
    """100 (C_T - C_{T-10}) / C_{T-10}."""
    before = w.last(w.close, 10)
    return ratio(w.last_close - before, before) * 100
