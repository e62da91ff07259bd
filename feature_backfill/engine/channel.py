"""Channel: extremes of recent bars, the close's place between them, and how long ago they were."""

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.windows import Windows, ratio


@computes(
    Feature(83, "close_rolling_min_20", 20, "lowest of 20 closes"),
    Feature(84, "close_rolling_max_20", 20, "highest of 20 closes"),
    Feature(85, "close_position_in_range_20", 20, "place of the close between them, 0..1; 0.5 without a range"),
)
def close_range(w: Windows) -> tuple[Floats, ...]:
    """min C, max C, (c - min)/(max - min)."""
    lowest, highest = w.close_sorted_20[0], w.close_sorted_20[-1]
    return lowest, highest, ratio(w.last_close - lowest, highest - lowest, if_zero=0.5)


@computes(
    Feature(
        94,
        "close_donchian_pos_20",
        20,
        "place of the close in the high-low range of 20 bars, 0..1; 0.5 without a range",
    ),
    Feature(
        95,
        "close_donchian_upper_dist_20",
        20,
        "distance of the close from the range's top, as a share; 0 without a range",
    ),
    Feature(
        96,
        "close_donchian_lower_dist_20",
        20,
        "distance of the close from the range's bottom, as a share; 0 without a range",
    ),
)
def donchian(w: Windows) -> tuple[Floats, ...]:
    """(c - ll)/(hh - ll), (hh - c)/(hh - ll), (c - ll)/(hh - ll)."""
    highest, lowest = w.max(w.high, 20), w.min(w.low, 20)
    above, below, width = w.last_close - lowest, highest - w.last_close, highest - lowest
    return ratio(above, width, if_zero=0.5), ratio(below, width, if_zero=0), ratio(above, width, if_zero=0)


@computes(
    Feature(
        97,
        "close_aroon_up_14",
        14,
        "how recent the high of 14 bars is, 100 the newest bar; the oldest of equals counts",
    ),
    Feature(
        98,
        "close_aroon_down_14",
        14,
        "how recent the low of 14 bars is, 100 the newest bar; the oldest of equals counts",
    ),
    Feature(99, "close_aroon_osc_14", 14, "aroon up - aroon down"),
)
def aroon(w: Windows) -> tuple[Floats, ...]:
    """100 (i + 1)/14, i the place of the first maximum of H (minimum of L) of 14 bars; up - down (T. Chande 1995)."""
    up = 100 * (w.tail(w.high, 14).argmax(axis=0) + 1) / 14
    down = 100 * (w.tail(w.low, 14).argmin(axis=0) + 1) / 14
    return up, down, up - down
