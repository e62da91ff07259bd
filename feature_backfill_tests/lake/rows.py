"""Rows of a lake, written and looked at."""

import numpy as np
import pandas as pd

from feature_backfill.config import Lake
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table, write_features

FIRST = pd.Timestamp("2025-01-01")


def frame(hours: int, seed: int = 0, start: pd.Timestamp = FIRST) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(size=(hours, 5))
    index = pd.date_range(start, periods=hours, freq="h", unit="us", name="ts")
    return pd.DataFrame(values, index=index, columns=list("abcde"))


def write(lake: Lake, rows: pd.DataFrame, key: str = "k") -> None:
    with connect(lake, read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, key, rows)


def repeat_a_row(lake: Lake, hour: pd.Timestamp) -> None:
    """Insert the row of an hour once more, as SQL by hand could."""
    with connect(lake, read_only=False) as connection:
        connection.execute("INSERT INTO features SELECT * FROM features WHERE ts = ?", [hour])
