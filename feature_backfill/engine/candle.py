"""Candle: the shape of the newest bar. NaN where the bar has no range."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.windows import OhlcvWindows, ratio


@computes(
    Feature("close_candle_body_ratio", 1, "|close - open| / range"),
    Feature("close_candle_upper_shadow_ratio", 1, "(high - upper end of the body) / range"),
    Feature("close_candle_lower_shadow_ratio", 1, "(lower end of the body - low) / range"),
)
def candle(w: OhlcvWindows) -> tuple[Floats, ...]:
    """|C_T - O_T| / r; (H_T - max(O_T, C_T)) / r; (min(O_T, C_T) - L_T) / r, r = H_T - L_T; NaN if r = 0."""
    opens, high, low, close = w.last(w.open), w.last(w.high), w.last(w.low), w.last_close
    spread = high - low
    upper, lower = high - np.maximum(opens, close), np.minimum(opens, close) - low
    return ratio(np.abs(close - opens), spread), ratio(upper, spread), ratio(lower, spread)
