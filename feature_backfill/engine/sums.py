"""Sums, means and deviations over the items of many windows at once.

Arrays are items x windows, so that each addition runs over all windows in one go, and what comes out for one window
does not depend on how many others there are. The order of summation is numpy's for a row of up to 128 items: in a flat
market it decides whether a deviation from the mean is exactly 0.
"""

import numpy as np

from feature_backfill.engine.bars import Floats

LANES = 8


def total(items: Floats) -> Floats:
    """Sum of the items: of each eighth item in eight lanes, of these as a tree, then the items left over one by one."""
    whole = len(items) - len(items) % LANES
    if not whole:
        return _one_by_one(items[0], items[1:])
    lanes = items[:LANES]
    for start in range(LANES, whole, LANES):
        lanes = lanes + items[start : start + LANES]
    while len(lanes) > 1:
        lanes = lanes[::2] + lanes[1::2]
    return _one_by_one(lanes[0], items[whole:])


def _one_by_one(first: Floats, others: Floats) -> Floats:
    result = first
    for item in others:
        result = result + item
    return result


def mean(items: Floats) -> Floats:
    """Arithmetic mean."""
    return total(items) / len(items)


def centred(items: Floats) -> Floats:
    """The items less their mean."""
    return items - mean(items)


def variance(items: Floats) -> Floats:
    """Sample variance, by deviations from the mean."""
    return total(centred(items) ** 2) / (len(items) - 1)


def sd(items: Floats) -> Floats:
    """Sample standard deviation."""
    return np.sqrt(variance(items))
