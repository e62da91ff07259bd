"""The digest of a window says whether any of its rows changed, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from feature_backfill.engine.bars import HourlyRows
from feature_backfill.engine.fingerprint import window_digests
from feature_backfill.engine.lookback import Lookback
from feature_backfill.hours import HOUR, hour_range
from feature_backfill.sources.synthetic import synthetic_ohlcv

FIRST, LOOKBACK = pd.Timestamp("2025-01-01"), 24
MARKET = synthetic_ohlcv(FIRST, 200, seed=5)
TARGETS = hour_range(FIRST + 60 * HOUR, FIRST + 160 * HOUR)
CHANGED = FIRST + 100 * HOUR


def digests(ohlcv: pd.DataFrame, lookback: int = LOOKBACK) -> np.ndarray:
    return window_digests(HourlyRows.of(ohlcv), TARGETS, Lookback(lookback))


def with_value(column: str, value: float) -> pd.DataFrame:
    return MARKET.assign(**{column: MARKET[column].where(MARKET["timestamp"] != CHANGED, value)})


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
def test_a_changed_value_changes_the_windows_that_see_it_and_no_other(column: str) -> None:
    value = MARKET.set_index("timestamp").loc[CHANGED, column]
    changed = digests(with_value(column, np.nextafter(value, 0))) != digests(MARKET)
    assert list(TARGETS[changed]) == list(hour_range(CHANGED, CHANGED + (LOOKBACK - 1) * HOUR))


def test_neither_what_lies_outside_nor_the_order_nor_a_repeated_row_matters() -> None:
    inside = MARKET[MARKET["timestamp"].between(TARGETS[0] - (LOOKBACK - 1) * HOUR, TARGETS[-1])]
    for same in (inside, MARKET.sample(frac=1, random_state=1), pd.concat([MARKET, MARKET.iloc[70:80]])):
        assert (digests(same) == digests(MARKET)).all()


def test_rows_that_change_places_and_the_length_of_the_window_matter() -> None:
    swapped = MARKET.copy()
    swapped.loc[[100, 101], MARKET.columns[1:]] = MARKET.loc[[101, 100], MARKET.columns[1:]].to_numpy()
    assert (digests(swapped)[41:64] != digests(MARKET)[41:64]).all()
    assert (digests(MARKET, LOOKBACK + 1) != digests(MARKET)).all()
    assert len(set(digests(MARKET))) == len(TARGETS)


def test_zero_has_one_sign() -> None:
    assert (digests(with_value("volume", -0.0)) == digests(with_value("volume", 0.0))).all()
