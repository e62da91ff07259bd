"""A number for the hourly rows that a target hour sees, which is another one as soon as a row of them is."""

from hashlib import blake2b

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feature_backfill.engine.bars import HourlyRows, epoch_hours

Digests = NDArray[np.uint64]


def window_digests(rows: HourlyRows, targets: pd.DatetimeIndex, lookback_hours: int) -> Digests:
    """One number a target: the sum, modulo 2**64, of a hash of each row in the lookback_hours up to the target.

    The sum of a window is the difference of two running sums, and a hash takes in the hour, so that rows that changed
    places count. Compare only targets whose lookback is sound: a bad row off the hour is no part of the sum.
    """
    if targets.empty:
        return np.zeros(0, np.uint64)
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_row_digests(rows), dtype=np.uint64)])
    hours = epoch_hours(targets)
    first = np.searchsorted(rows.hours, hours - lookback_hours + 1)
    end = np.searchsorted(rows.hours, hours, side="right")
    return running[end] - running[first]


def _row_digests(rows: HourlyRows) -> Digests:
    """A hash of each row. + 0.0 makes one of the two zeros that a volume can be."""
    cells = np.column_stack([rows.hours, (rows.values.T + 0.0).view(np.int64)]).astype("<i8")
    raw, size = cells.tobytes(), cells.shape[1] * cells.itemsize
    hashes = b"".join(blake2b(raw[at : at + size], digest_size=8).digest() for at in range(0, len(raw), size))
    return np.frombuffer(hashes, "<u8").astype(np.uint64)
