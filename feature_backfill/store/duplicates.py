"""Hours that have more than one row under a key, which only a lake can have: its tables have no primary keys."""

import duckdb
import pandas as pd

from feature_backfill.store.features import TABLE, has_features_table


def duplicate_hours(connection: duckdb.DuckDBPyConnection, feature_key: str) -> pd.DatetimeIndex:
    """The hours of a key that have several rows, UTC-naive, ascending. Empty without a table."""
    if not has_features_table(connection):
        return pd.DatetimeIndex([], dtype="datetime64[us]", name="ts")
    rows = connection.execute(
        f"SELECT ts FROM {TABLE} WHERE feature_key = ? GROUP BY ts HAVING count(*) > 1 ORDER BY ts", [feature_key]
    ).df()
    return pd.DatetimeIndex(rows["ts"]).as_unit("us")
