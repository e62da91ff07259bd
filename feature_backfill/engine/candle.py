"""Candle: the shape of the newest bar. NaN where the bar has no range."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.windows import Windows, ratio


@computes(
    Feature(67, "close_candle_body_ratio", 1, "|close - open| / range"),
    Feature(68, "close_candle_upper_shadow_ratio", 1, "(high - upper end of the body) / range"),
    Feature(69, "close_candle_lower_shadow_ratio", 1, "(lower end of the body - low) / range"),
)
def candle(w: Windows) -> tuple[Floats, ...]:
    """|C - O|, H - max(O, C), min(O, C) - L, each over H - L."""
    opens, high, low, close = w.last(w.open), w.last(w.high), w.last(w.low), w.last_close
    spread = high - low
    upper, lower = high - np.maximum(opens, close), np.minimum(opens, close) - low
    return ratio(np.abs(close - opens), spread), ratio(upper, spread), ratio(lower, spread)
