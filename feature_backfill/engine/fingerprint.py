"""A digest of the rows in an hour's lookback; it changes when any of them changes."""

from hashlib import blake2b

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feature_backfill.engine.bars import HourlyRows, epoch_hours
from feature_backfill.engine.lookback import Lookback

Digests = NDArray[np.uint64]


def window_digests(rows: HourlyRows, targets: pd.DatetimeIndex, lookback: Lookback) -> Digests:
    """One digest a target (ascending): the sum, modulo 2**64, of the hashes of the rows in its lookback.

    The sum over a lookback is the difference of two running sums. The hash of a row includes its hour, so that two rows
    that trade places change the digest. Compare digests of sound lookbacks only: a bad row off the hour is not in the
    sum.
    """
    if targets.empty:
        return np.zeros(0, np.uint64)
    rows = rows.between(lookback.first_hour(targets[0]), targets[-1])
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_row_digests(rows), dtype=np.uint64)])
    hours = epoch_hours(targets)
    first = np.searchsorted(rows.hours, lookback.first_hours(hours))
    end = np.searchsorted(rows.hours, hours, side="right")
    return running[end] - running[first]


def _row_digests(rows: HourlyRows) -> Digests:
    """A hash of each row. Adding 0.0 turns a volume of -0.0 into 0.0, so that both have one hash."""
    cells = np.column_stack([rows.hours, (rows.values.T + 0.0).view(np.int64)]).astype("<i8")
    raw, size = cells.tobytes(), cells.shape[1] * cells.itemsize
    hashes = b"".join(blake2b(raw[at : at + size], digest_size=8).digest() for at in range(0, len(raw), size))
    return np.frombuffer(hashes, "<u8").astype(np.uint64)
