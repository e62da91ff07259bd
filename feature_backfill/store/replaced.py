"""The features_replaced table: rows of features that were overwritten, byte for byte as they were.

A row is valid from its created_at until the created_at of the row that replaced it, which is kept as replaced_at; so
the rows can be read as they stood at any time. Where the clock was set back, a new row is still created after the one
that it replaces. What somebody else overwrites or deletes, as the legacy script does, is not kept.

Times are UTC. A row that somebody else wrote has as its created_at what CURRENT_TIMESTAMP was in their session. DuckDB
stores that as local time; it is taken for UTC here, so by as much as the session's zone is off, such a row seems to
have been created too late or too early.
"""

import duckdb
import pandas as pd

from feature_backfill.store.database import in_transaction, scalar
from feature_backfill.store.schema import has_own_table, require_schema

TABLE = "features_replaced"
_COLUMNS = {
    "feature_key": "VARCHAR",
    "ts": "TIMESTAMP",
    "features": "JSON",
    "created_at": "TIMESTAMP",
    "replaced_at": "TIMESTAMP",
    "replaced_by": "VARCHAR",
}


NOW = "current_timestamp AT TIME ZONE 'UTC'"
"""SQL of the time as the tables keep it."""


def moment_after(created_at: str) -> str:
    """SQL of the time of replacement of a row, given the SQL of its created_at, which may lie ahead of the clock."""
    return f"greatest({NOW}, {created_at} + INTERVAL 1 microsecond)"


def ensure_replaced_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table if there is none. Raises UserError if the one there has an unexpected schema."""
    connection.execute(
        f"""
        CREATE TABLE IF NOT EXISTS {TABLE} (
            feature_key TEXT NOT NULL,
            ts TIMESTAMP NOT NULL,
            features JSON NOT NULL,
            created_at TIMESTAMP,
            replaced_at TIMESTAMP NOT NULL,
            replaced_by TEXT NOT NULL
        )
        """
    )
    require_schema(connection, TABLE, _COLUMNS, ())


def has_replaced_table(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether there is a table of replaced rows. Raises UserError if it has an unexpected schema."""
    return has_own_table(connection, TABLE, _COLUMNS, ())


def keep_replaced(connection: duckdb.DuckDBPyConnection, feature_key: str, incoming: str, replaced_by: str) -> None:
    """Keep the stored rows that a table or view with the columns ts and created_at is about to replace.

    To be called in the transaction that replaces them. replaced_by: what does, in words, or a run id.
    """
    connection.execute(
        f"""
        INSERT INTO {TABLE}
        SELECT stored.feature_key, stored.ts, stored.features, stored.created_at, incoming.created_at, ?
        FROM features AS stored JOIN {incoming} AS incoming USING (ts) WHERE stored.feature_key = ?
        """,
        [replaced_by, feature_key],
    )


def count_replaced(connection: duckdb.DuckDBPyConnection, feature_key: str) -> int:
    """How many replaced rows of a key are kept; an hour that was replaced twice counts twice."""
    if not has_replaced_table(connection):
        return 0
    return int(scalar(connection, f"SELECT count(*) FROM {TABLE} WHERE feature_key = ?", [feature_key]))


def drop_replaced(connection: duckdb.DuckDBPyConnection, before: pd.Timestamp, feature_key: str | None = None) -> int:
    """Forget the rows, of one key or of all, that were replaced before a time (UTC-naive); returns their number.

    From then on, rows cannot be read as they stood at an earlier time.
    """
    if not has_replaced_table(connection):
        return 0
    dropped = f"DELETE FROM {TABLE} WHERE replaced_at < $before AND feature_key = coalesce($feature_key, feature_key)"
    values = {"before": before, "feature_key": feature_key}
    return in_transaction(connection, lambda: int(scalar(connection, dropped, values)))


def retire_rows(connection: duckdb.DuckDBPyConnection, feature_key: str, replaced_by: str) -> None:
    """Keep every stored row of a key as one that is replaced now. To be called in the transaction that deletes them."""
    connection.execute(
        f"INSERT INTO {TABLE} SELECT feature_key, ts, features, created_at, {moment_after('created_at')}, ?"
        " FROM features WHERE feature_key = ?",
        [replaced_by, feature_key],
    )


def delete_replaced(connection: duckdb.DuckDBPyConnection, feature_key: str) -> None:
    """Delete the replaced rows of a key. The table must exist."""
    connection.execute(f"DELETE FROM {TABLE} WHERE feature_key = ?", [feature_key])
