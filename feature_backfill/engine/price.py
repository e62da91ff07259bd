"""Price: where the newest bar stands and how far the close has come."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.windows import Windows, ratio


@computes(
    Feature(1, "close_open_diff_current", 1, "close - open of the newest bar"),
    Feature(2, "high_low_range_current", 1, "high - low of the newest bar"),
    Feature(4, "log_close", 1, "natural log of the close"),
    Feature(70, "close_typical_price", 1, "(high + low + close) / 3"),
    Feature(71, "close_ohlc_average", 1, "(open + high + low + close) / 4"),
)
def newest_bar(w: Windows) -> tuple[Floats, ...]:
    """C - O, H - L, ln C, (H + L + C)/3, (O + H + L + C)/4."""
    opens, high, low, close = w.last(w.open), w.last(w.high), w.last(w.low), w.last_close
    return close - opens, high - low, np.log(close), (high + low + close) / 3, (opens + high + low + close) / 4


@computes(
    Feature(3, "close_change_current", 2, "close - previous close"),
    Feature(5, "close_pct_change_current", 2, "change from the previous close in percent"),
)
def change(w: Windows) -> tuple[Floats, ...]:
    """C_T - C_{T-1}, and that in percent of C_{T-1}."""
    step = w.last(w.change)
    return step, ratio(step, w.last(w.close, 1)) * 100


@computes(Feature(6, "close_cum_return_5", 6, "sum of the last 5 log returns"))
def cumulative_return_5(w: Windows) -> Floats:
    """sum LR."""
    return w.sum(w.log_return, 5)


@computes(Feature(7, "close_cum_return_10", 11, "sum of the last 10 log returns"))
def cumulative_return_10(w: Windows) -> Floats:
    """sum LR."""
    return w.sum(w.log_return, 10)


@computes(Feature(8, "close_cum_return_20", 21, "sum of the last 20 log returns"))
def cumulative_return_20(w: Windows) -> Floats:
    """sum LR."""
    return w.sum(w.log_return, 20)


@computes(Feature(33, "close_roc_10", 11, "change over 10 bars in percent"))
def rate_of_change_10(w: Windows) -> Floats:
    """100 (C_T - C_{T-10}) / C_{T-10}."""
    before = w.last(w.close, 10)
    return ratio(w.last_close - before, before) * 100
