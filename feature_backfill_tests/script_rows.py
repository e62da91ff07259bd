"""Rows as the script stored them: its table, its JSON with spaces and bare NaN tokens, no contract."""

import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pandas as pd

from feature_backfill import compute_features
from feature_backfill.config import FeatureSet


def script_row(values: pd.Series) -> str:
    """One row as `json.dumps` writes it: separators with a space, NaN and Infinity as bare tokens."""
    return json.dumps({str(name): float(value) for name, value in values.items()})


def store_as_the_script(
    database: Path,
    feature_set: FeatureSet,
    ohlcv: pd.DataFrame,
    hours: pd.DatetimeIndex,
    names: Sequence[str] | None = None,
) -> None:
    """Compute hours and store them as the script did: delete, then insert, one row at a time."""
    computed = compute_features(
        ohlcv, hours, feature_set.base_hours, feature_set.buffer_hours, feature_set.timeframes
    ).features
    with duckdb.connect(database) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS features (feature_key TEXT NOT NULL, ts TIMESTAMP NOT NULL,"
            " features JSON NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (feature_key, ts))"
        )
        for hour, row in computed[list(names or computed.columns)].iterrows():
            connection.execute("DELETE FROM features WHERE feature_key = ? AND ts = ?", [feature_set.key, hour])
            connection.execute(
                "INSERT INTO features (feature_key, ts, features) VALUES (?, ?, ?)",
                [feature_set.key, hour, script_row(row)],
            )
