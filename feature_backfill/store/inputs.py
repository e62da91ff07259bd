"""The feature_inputs table: for each row of features, a digest of the hourly rows that it was computed from.

A row whose digest is not that of today's OHLCV is stale. Rows that the project did not write itself have none.
"""

import duckdb
import pandas as pd

from feature_backfill.store.database import has_table, require_schema

TABLE = "feature_inputs"
_COLUMNS = {"feature_key": "VARCHAR", "ts": "TIMESTAMP", "digest": "UBIGINT"}


def ensure_inputs_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table if there is none. Raises UserError if the one there is has another schema."""
    connection.execute(
        f"""
        CREATE TABLE IF NOT EXISTS {TABLE} (
            feature_key TEXT NOT NULL, ts TIMESTAMP NOT NULL, digest UBIGINT NOT NULL, PRIMARY KEY (feature_key, ts)
        )
        """
    )
    require_schema(connection, TABLE, _COLUMNS, ("feature_key", "ts"))


def replace_inputs(connection: duckdb.DuckDBPyConnection, feature_key: str, incoming: str) -> None:
    """Make the digests of hours those of a view with the columns ts and digest, where NULL is none."""
    connection.execute(
        f"DELETE FROM {TABLE} WHERE feature_key = ? AND ts IN (SELECT ts FROM {incoming})", [feature_key]
    )
    connection.execute(
        f"INSERT INTO {TABLE} SELECT ?, ts, digest FROM {incoming} WHERE digest IS NOT NULL", [feature_key]
    )


def delete_inputs(connection: duckdb.DuckDBPyConnection, feature_key: str) -> None:
    """Delete the digests of a feature key."""
    if has_table(connection, TABLE):
        connection.execute(f"DELETE FROM {TABLE} WHERE feature_key = ?", [feature_key])


def stored_inputs(
    connection: duckdb.DuckDBPyConnection, feature_key: str, start: pd.Timestamp, end: pd.Timestamp
) -> pd.Series:
    """The digests (uint64) of hours from start to end, both included, by hour, ascending; empty without a table."""
    if not has_table(connection, TABLE):
        return pd.Series(dtype="uint64", index=pd.DatetimeIndex([], dtype="datetime64[us]", name="ts"), name="digest")
    rows = connection.execute(
        f"SELECT ts, digest FROM {TABLE} WHERE feature_key = ? AND ts BETWEEN ? AND ? ORDER BY ts",
        [feature_key, start, end],
    ).df()
    return rows.astype({"ts": "datetime64[us]", "digest": "uint64"}).set_index("ts")["digest"]
