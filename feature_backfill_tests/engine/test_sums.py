import numpy as np
import pytest

from feature_backfill.engine import sums
from feature_backfill.engine.windows import Windows

SIZES = [*range(1, 34), 50, 99, 100, 101, 127, 128]


@pytest.mark.parametrize("size", SIZES)
def test_sums_are_numpys_sums_of_a_row_to_the_last_bit(size):
    rows = np.random.default_rng(size).lognormal(sigma=5, size=(200, size))
    assert (sums.total(rows.T) == rows.sum(axis=-1)).all()
    assert (sums.mean(rows.T) == rows.mean(axis=-1)).all()
    if size > 1:
        assert (sums.sd(rows.T) == rows.std(axis=-1, ddof=1)).all()


@pytest.mark.parametrize("step", [1, 40])
@pytest.mark.parametrize("size", SIZES[:33])
def test_extremes_and_flat_tails_of_every_lookback(size, step):
    values = np.random.default_rng(size).integers(0, 3 if size < 6 else 1000, 40 * 8).astype(np.float64)
    values[80:160] = 7
    windows = Windows(values, np.arange(0), bars=40, step=step)
    tails = np.lib.stride_tricks.sliding_window_view(values, 40)[::step]
    assert (windows.max(values, size) == tails[:, -size:].max(axis=-1)).all()
    assert (windows.min(values, size, lag=5) == tails[:, -size - 5 : -5].min(axis=-1)).all()
    assert (windows.flat(values, size) == (tails[:, -size:] == tails[:, -1:]).all(axis=-1)).all()
    assert (windows.tail(values, size) == tails[:, -size:].T).all()
