"""The feature_inputs table: for each row of features, a digest of the hourly rows that it was computed from, and how.

A row whose digest is not that of today's OHLCV is stale. Rows that the project did not write have none: a digest holds
for the row that was stored with it, which created_at tells from one that somebody put in its place.
"""

import duckdb
import pandas as pd

from feature_backfill.store.schema import has_own_table, has_table, primary_key, require_schema

TABLE = "feature_inputs"
_COLUMNS = {
    "feature_key": "VARCHAR",
    "ts": "TIMESTAMP",
    "digest": "UBIGINT",
    "settings": "VARCHAR",
    "created_at": "TIMESTAMP",
}
_PRIMARY_KEY = ("feature_key", "ts")


def ensure_inputs_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table if there is none. Raises UserError if the one there is has another schema."""
    connection.execute(
        f"""
        CREATE TABLE IF NOT EXISTS {TABLE} (
            feature_key TEXT NOT NULL,
            ts TIMESTAMP NOT NULL,
            digest UBIGINT NOT NULL,
            settings TEXT NOT NULL,
            created_at TIMESTAMP NOT NULL
            {primary_key(connection, _PRIMARY_KEY)}
        )
        """
    )
    require_schema(connection, TABLE, _COLUMNS, _PRIMARY_KEY)


def replace_inputs(connection: duckdb.DuckDBPyConnection, feature_key: str, incoming: str, settings: str) -> None:
    """Make the inputs of hours those of a view with the columns ts and digest, where a digest of NULL is none.

    To be called in the transaction that stores the rows, after them: the inputs take over their created_at.
    """
    connection.execute(
        f"DELETE FROM {TABLE} WHERE feature_key = ? AND ts IN (SELECT ts FROM {incoming})", [feature_key]
    )
    connection.execute(
        f"INSERT INTO {TABLE} SELECT feature_key, ts, digest, ?, created_at FROM {incoming} JOIN features USING (ts)"
        " WHERE feature_key = ? AND digest IS NOT NULL",
        [settings, feature_key],
    )


def delete_inputs(connection: duckdb.DuckDBPyConnection, feature_key: str) -> None:
    """Delete the inputs of a feature key."""
    if has_table(connection, TABLE):
        connection.execute(f"DELETE FROM {TABLE} WHERE feature_key = ?", [feature_key])


def stored_inputs(
    connection: duckdb.DuckDBPyConnection, feature_key: str, start: pd.Timestamp, end: pd.Timestamp
) -> pd.DataFrame:
    """Inputs of the rows from start to end, both included, that have some: hours, ascending x (digest, settings).

    Raises UserError if the table has an unexpected schema.
    """
    if not has_own_table(connection, TABLE, _COLUMNS, _PRIMARY_KEY):
        none = pd.DataFrame({"digest": pd.Series(dtype="uint64"), "settings": pd.Series(dtype="str")})
        return none.set_index(pd.DatetimeIndex([], dtype="datetime64[us]", name="ts"))
    rows = connection.execute(
        f"SELECT ts, digest, settings FROM {TABLE} JOIN features USING (feature_key, ts, created_at)"
        " WHERE feature_key = ? AND ts BETWEEN ? AND ? ORDER BY ts",
        [feature_key, start, end],
    ).df()
    return rows.astype({"ts": "datetime64[us]", "digest": "uint64"}).set_index("ts")
