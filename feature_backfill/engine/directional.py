"""Directional movement: Wilder's DI and ADX (J. W. Wilder 1978), smoothed from the lookback's oldest bar on."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import ALL_BARS, Feature, computes
from feature_backfill.engine.lookbacks import Lookbacks
from feature_backfill.engine.windows import WILDER, shared, wilder_weights

DECAY = 1 - WILDER
SMOOTHED_FROM = 13
FORGOTTEN_AFTER = 600
"""Bars after which a DX weighs less than 1e-18 in ADX."""


def _directional_movement(high: Floats, low: Floats, next_high: Floats, next_low: Floats) -> Floats:
    """2 x bars, +DM and -DM: how far the next bar reaches beyond a bar, on the side where it reaches farther."""
    up, down = next_high - high, low - next_low
    return np.stack([np.where((up > down) & (up > 0), up, 0.0), np.where((down > up) & (down > 0), down, 0.0)])


@shared
def _series_movement(lb: Lookbacks) -> Floats:
    """+DM and -DM of every bar of the series (0 for its first)."""
    high, low = lb.windows.high, lb.windows.low
    return np.pad(_directional_movement(high[:-1], low[:-1], high[1:], low[1:]), ((0, 0), (1, 0)))


@shared
def _first_movement(lb: Lookbacks) -> Floats:
    """+DM and -DM of the second bar of every lookback, against its oldest, perhaps partial, bar."""
    second_high, second_low = lb.bar(lb.windows.high, 1), lb.bar(lb.windows.low, 1)
    return _directional_movement(lb.oldest.high, lb.oldest.low, second_high, second_low)


@computes(
    Feature("close_di_plus_14", 15, "Wilder's upward directional indicator", ALL_BARS),
    Feature("close_di_minus_14", 15, "Wilder's downward directional indicator", ALL_BARS),
)
def directional_indicators(lb: Lookbacks) -> tuple[Floats, ...]:
    """100 RMA(+DM) / RMA(TR); 100 RMA(-DM) / RMA(TR).

    +DM_i = H_i - H_{i-1} if that is positive and more than L_{i-1} - L_i, else 0; -DM_i the other way round. The means
    start at the oldest bar: those of DM with 0, that of TR with H_0 - L_0 at full weight.
    """
    w = lb.windows
    ranges = lb.at_hours(w.weighted_sum(w.true_range, wilder_weights(w.bars - 1)))
    ranges = ranges + DECAY ** (w.bars - 1) * (lb.oldest.high - lb.oldest.low)
    first_weight = WILDER * DECAY ** (w.bars - 2)
    newer = wilder_weights(w.bars - 2)
    indicators = []
    for movement, first in zip(_series_movement(lb), _first_movement(lb), strict=True):
        indicators.append(100 * (lb.at_hours(w.weighted_sum(movement, newer)) + first_weight * first) / ranges)
    return tuple(indicators)


def _sum_and_difference(movement: Floats) -> Floats:
    return np.stack([movement[0] + movement[1], movement[0] - movement[1]])


@computes(Feature("close_adx_14", 27, "Wilder's mean of DX, seeded with the first DX", ALL_BARS))
def average_directional_index(lb: Lookbacks) -> Floats:
    """RMA of DX = 100 |DI+ - DI-| / (DI+ + DI-); NaN before the 14th DX.

    DX exists from the 14th bar on, or from the first directional movement after it. The mean starts with the first DX,
    not with the mean of 14.
    """
    # DX is not linear in the bars and depends on where the lookback starts, so the recursion runs over the bars of the
    # lookback, for all hours at once. Smoothing factors that cancel are left out.
    movement = _sum_and_difference(_series_movement(lb))
    smoothed_movement = _sum_and_difference(_first_movement(lb))
    both, net = smoothed_movement
    remembered = max(SMOOTHED_FROM, lb.windows.bars - FORGOTTEN_AFTER)
    first_dx = np.maximum(remembered, _first_moving_bar(lb, movement[0], both))
    seeded_at = set(first_dx.tolist())
    adx = np.zeros(len(both))
    dx = np.empty(len(both))
    for bar in range(2, lb.windows.bars):
        smoothed_movement *= DECAY
        smoothed_movement += lb.bar(movement, bar)
        if bar < remembered:
            continue
        np.divide(np.abs(net, out=dx), both, out=dx)
        adx *= DECAY
        adx += dx
        if bar in seeded_at:
            seeded = first_dx == bar
            adx[seeded] = dx[seeded] / WILDER
    return np.where(lb.windows.bars - first_dx < 14, np.nan, 100 * WILDER * adx)


def _first_moving_bar(lb: Lookbacks, movement: Floats, first_movement: Floats) -> Floats:
    """Place in the lookback of the first bar with directional movement."""
    position = np.arange(len(movement))
    next_moving = np.minimum.accumulate(np.where(movement > 0, position, len(movement) * 2)[::-1])[::-1]
    later = lb.bar(next_moving, 2) - lb.window * lb.windows.step
    return np.where(first_movement > 0, 1, later)
