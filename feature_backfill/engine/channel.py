"""Channel: extremes of recent bars, the position of the close between them, and how long ago they were."""

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.windows import OhlcvWindows, Windows, ratio


@computes(
    Feature("close_rolling_min_20", 20, "lowest of 20 closes"),
    Feature("close_rolling_max_20", 20, "highest of 20 closes"),
    Feature("close_position_in_range_20", 20, "position of the close between them, 0..1; 0.5 without a range"),
)
def close_range(w: Windows) -> tuple[Floats, ...]:
    """l = lowest C of 20 bars; h = highest; (C_T - l) / (h - l), 0.5 if h = l.

    These are closes; the Donchian channel has highs and lows.
    """
    lowest, highest = w.close_sorted_20[0], w.close_sorted_20[-1]
    return lowest, highest, ratio(w.last_close - lowest, highest - lowest, if_zero=0.5)


@computes(
    Feature(
        "close_donchian_pos_20",
        20,
        "position of the close in the high-low range of 20 bars, 0..1; 0.5 without a range",
    ),
    Feature(
        "close_donchian_upper_dist_20",
        20,
        "distance of the close from the top of the range, as a share; 0 without a range",
    ),
    Feature(
        "close_donchian_lower_dist_20",
        20,
        "distance of the close from the bottom of the range, as a share; 0 without a range",
    ),
)
def donchian(w: OhlcvWindows) -> tuple[Floats, ...]:
    """(C_T - l) / (h - l), 0.5 if h = l; (h - C_T) / (h - l), 0 if h = l; (C_T - l) / (h - l), 0 if h = l.

    h and l are the highest H and the lowest L of 20 bars. The first and the last feature differ only where h = l.
    """
    highest, lowest = w.max(w.high, 20), w.min(w.low, 20)
    above, below, width = w.last_close - lowest, highest - w.last_close, highest - lowest
    return ratio(above, width, if_zero=0.5), ratio(below, width, if_zero=0), ratio(above, width, if_zero=0)


@computes(
    Feature(
        "close_aroon_up_14",
        14,
        "how recent the high of 14 bars is, 100 the newest bar; the oldest of equals counts",
    ),
    Feature(
        "close_aroon_down_14",
        14,
        "how recent the low of 14 bars is, 100 the newest bar; the oldest of equals counts",
    ),
    Feature("close_aroon_osc_14", 14, "aroon up - aroon down"),
)
def aroon(w: OhlcvWindows) -> tuple[Floats, ...]:
    """u = 100 (i + 1) / 14; d = 100 (j + 1) / 14; u - d (T. Chande 1995).

    i and j, from 0, are the positions of the highest H and the lowest L among 14 bars, oldest first; of equal ones the
    oldest counts. A window of 14 bars, not 15, makes 100/14 the smallest value.
    """
    up = 100 * (w.tail(w.high, 14).argmax(axis=0) + 1) / 14
    down = 100 * (w.tail(w.low, 14).argmin(axis=0) + 1) / 14
    return up, down, up - down
