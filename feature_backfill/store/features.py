"""The features table: one JSON object of float values for each feature key and hour.

Rows are written in bulk by DuckDB. `store.reading` reads their values.
"""

from collections.abc import Sequence

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from feature_backfill.contracts import Missing
from feature_backfill.store.contracts import forget_key
from feature_backfill.store.database import in_transaction, scalar
from feature_backfill.store.inputs import delete_inputs, ensure_inputs_table, replace_inputs
from feature_backfill.store.replaced import (
    NOW,
    delete_replaced,
    ensure_replaced_table,
    keep_replaced,
    moment_after,
    retire_rows,
)
from feature_backfill.store.schema import has_own_table, primary_key, require_schema, require_unique
from feature_backfill.store.writable import ROW_GROUP_SIZE

TABLE = "features"
_COLUMNS = {"feature_key": "VARCHAR", "ts": "TIMESTAMP", "features": "JSON", "created_at": "TIMESTAMP"}
_PRIMARY_KEY = ("feature_key", "ts")

# The rows to write appear to DuckDB under these names, which must not hide a table of the database.
_INCOMING = "__incoming_features__"
_STAGED = "__staged_features__"
_ROWS_PER_TRANSACTION = 4 * ROW_GROUP_SIZE
# DuckDB makes the JSON of one batch in one thread.
_ROWS_PER_BATCH = ROW_GROUP_SIZE // 2


def ensure_features_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables of features, of their inputs and of replaced rows where there are none.

    Raises UserError if one has an unexpected schema.
    """
    connection.execute(
        f"""
        CREATE TABLE IF NOT EXISTS {TABLE} (
            feature_key TEXT NOT NULL,
            ts TIMESTAMP NOT NULL,
            features JSON NOT NULL,
            created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
            {primary_key(connection, _PRIMARY_KEY)}
        )
        """
    )
    require_features_table(connection)
    ensure_inputs_table(connection)
    ensure_replaced_table(connection)


def require_features_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise UserError unless there is a features table with the expected schema."""
    require_schema(connection, TABLE, _COLUMNS, _PRIMARY_KEY)


def has_features_table(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether there is a features table. Raises UserError if it has an unexpected schema."""
    return has_own_table(connection, TABLE, _COLUMNS, _PRIMARY_KEY)


def distinct_keys(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The feature keys that have rows, by name."""
    if not has_features_table(connection):
        return []
    rows = connection.execute(f"SELECT DISTINCT feature_key FROM {TABLE} ORDER BY feature_key").fetchall()
    return [key for (key,) in rows]


def stored_hours(
    connection: duckdb.DuckDBPyConnection,
    feature_key: str,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
) -> pd.DatetimeIndex:
    """The hours from start to end, both included, that have a row: UTC-naive, ascending. Empty without a table.

    Raises UserError, as the other functions that read do, if the table has an unexpected schema.
    """
    if not has_features_table(connection):
        return pd.DatetimeIndex([], dtype="datetime64[us]", name="ts")
    rows = connection.execute(
        f"SELECT DISTINCT ts FROM {TABLE} WHERE feature_key = $feature_key"
        " AND ts >= coalesce($start, TIMESTAMP '-infinity') AND ts <= coalesce($end, TIMESTAMP 'infinity') ORDER BY ts",
        {"feature_key": feature_key, "start": start, "end": end},
    ).df()
    return pd.DatetimeIndex(rows["ts"]).as_unit("us")


def stored_hours_of_keys(
    connection: duckdb.DuckDBPyConnection, feature_keys: Sequence[str]
) -> dict[str, pd.DatetimeIndex]:
    """The hours that have a row under each of the keys, as stored_hours gives them; one look at the table for all."""
    hours, places = np.array([], dtype="datetime64[us]"), np.array([], dtype=np.int32)
    if has_features_table(connection):
        rows = connection.execute(
            f"SELECT ts, list_position($keys, feature_key) AS place FROM {TABLE}"
            " WHERE list_contains($keys, feature_key)",
            {"keys": list(feature_keys)},
        ).fetchnumpy()
        hours, places = np.asarray(rows["ts"], "datetime64[us]"), np.asarray(rows["place"], np.int32)
    of_keys = {key: np.sort(hours[places == place]) for place, key in enumerate(feature_keys, start=1)}
    return {key: pd.DatetimeIndex(some, name="ts") for key, some in of_keys.items()}


def last_stored_hour(
    connection: duckdb.DuckDBPyConnection, feature_key: str, end: pd.Timestamp | None = None
) -> pd.Timestamp | None:
    """The newest hour up to `end` that has a row, None if there is no row."""
    if not has_features_table(connection):
        return None
    sql = f"SELECT max(ts) FROM {TABLE} WHERE feature_key = ? AND ts <= coalesce(?, TIMESTAMP 'infinity')"
    hour = scalar(connection, sql, [feature_key, end])
    return None if hour is None else pd.Timestamp(hour)


def created_at(connection: duckdb.DuckDBPyConnection, feature_key: str, hour: pd.Timestamp) -> pd.Timestamp | None:
    """When the row of an hour was made, UTC-naive; None if it does not say. There must be such a row."""
    query = f"SELECT created_at FROM {TABLE} WHERE feature_key = ? AND ts = ?"
    moment = scalar(connection, query, [feature_key, hour])
    return None if moment is None else pd.Timestamp(moment)


def write_features(
    connection: duckdb.DuckDBPyConnection,
    feature_key: str,
    frame: pd.DataFrame,
    missing: Missing = "null",
    inputs: NDArray[np.uint64] | None = None,
    settings: str = "",
    replaced_by: str = "overwrite",
) -> int:
    """Store one row for every hour of a frame, in place of the rows that these hours have; no other row is touched.

    frame: distinct hours (UTC-naive) x features (float64). The JSON has the columns in their order, every value a float
    in the fewest digits that give the same float again. inputs: a digest an hour of what its row was computed from, if
    that is known; settings: how it was computed. replaced_by: kept with the rows that are replaced. The tables must
    exist.

    A stored row that equals the new one byte for byte stays, with its created_at; one that differs goes to the table of
    replaced rows. Rows are written in transactions of bounded size: a reader never misses an hour that is overwritten,
    and a crash loses no stored row.

    Returns the number of hours of the frame.
    """

    def store() -> None:
        if _any_stored(connection, feature_key):
            _replace_incoming(connection, feature_key, replaced_by)
        else:
            _insert(connection, feature_key, f"SELECT ts, to_json(features), {NOW} FROM {_INCOMING}")
        require_unique(connection, TABLE, "ts", _INCOMING, feature_key)
        replace_inputs(connection, feature_key, _INCOMING, settings)

    for start in range(0, len(frame), _ROWS_PER_TRANSACTION):
        part = slice(start, start + _ROWS_PER_TRANSACTION)
        rows = _incoming_rows(frame.iloc[part], missing, None if inputs is None else inputs[part])
        connection.register(_INCOMING, rows)
        try:
            in_transaction(connection, store)
        finally:
            connection.unregister(_INCOMING)
    return len(frame)


def delete_features(connection: duckdb.DuckDBPyConnection, feature_key: str) -> int:
    """Delete all rows of a feature key, those that were replaced included; returns how many were stored."""
    if not has_features_table(connection):
        return 0
    ensure_features_table(connection)

    def delete() -> int:
        deleted = int(scalar(connection, f"DELETE FROM {TABLE} WHERE feature_key = ?", [feature_key]))
        delete_inputs(connection, feature_key)
        delete_replaced(connection, feature_key)
        forget_key(connection, feature_key)
        return deleted

    return in_transaction(connection, delete)


def retire_key(connection: duckdb.DuckDBPyConnection, feature_key: str, replaced_by: str) -> int:
    """Move all rows of a key to the replaced rows and forget its contract, in one transaction. The tables must exist.

    Returns the number of rows. The key is then as good as new; its rows can still be read as they stood before.
    """

    def retire() -> int:
        retire_rows(connection, feature_key, replaced_by)
        retired = int(scalar(connection, f"DELETE FROM {TABLE} WHERE feature_key = ?", [feature_key]))
        delete_inputs(connection, feature_key)
        forget_key(connection, feature_key)
        return retired

    return in_transaction(connection, retire)


def _any_stored(connection: duckdb.DuckDBPyConnection, feature_key: str) -> bool:
    sql = f"SELECT count(*) FROM {TABLE} WHERE feature_key = ? AND ts IN (SELECT ts FROM {_INCOMING})"
    return bool(scalar(connection, sql, [feature_key]))


def _insert(connection: duckdb.DuckDBPyConnection, feature_key: str, rows: str) -> None:
    """Insert what a query gives as (ts, features, created_at)."""
    connection.execute(
        f"INSERT INTO {TABLE} (feature_key, ts, features, created_at) SELECT ?, * FROM ({rows})", [feature_key]
    )


def _replace_incoming(connection: duckdb.DuckDBPyConnection, feature_key: str, replaced_by: str) -> None:
    """Store the incoming rows that differ from the stored ones, and keep those that they replace.

    Where an hour has several rows, which no primary key of a lake forbids, one is left.
    """
    connection.execute(
        f"""
        CREATE TEMP TABLE {_STAGED} AS
        SELECT ts, to_json(incoming.features) AS features,
            {moment_after("stored.created_at")} AS created_at
        FROM {_INCOMING} AS incoming
        LEFT JOIN (
            SELECT ts, max(created_at) AS created_at FROM {TABLE} WHERE feature_key = ? GROUP BY ts
        ) AS stored USING (ts)
        """,
        [feature_key],
    )
    connection.execute(
        f"DELETE FROM {_STAGED} AS staged USING {TABLE} AS stored WHERE stored.feature_key = ?"
        " AND stored.ts = staged.ts AND stored.features::VARCHAR = staged.features::VARCHAR AND stored.ts NOT IN"
        f" (SELECT ts FROM {TABLE} WHERE feature_key = ? GROUP BY ts HAVING count(*) > 1)",
        [feature_key, feature_key],
    )
    keep_replaced(connection, feature_key, _STAGED, replaced_by)
    connection.execute(f"DELETE FROM {TABLE} WHERE feature_key = ? AND ts IN (SELECT ts FROM {_STAGED})", [feature_key])
    _insert(connection, feature_key, f"SELECT ts, features, created_at FROM {_STAGED}")
    connection.execute(f"DROP TABLE {_STAGED}")


def _incoming_rows(frame: pd.DataFrame, missing: Missing, inputs: NDArray[np.uint64] | None) -> pa.Table:
    """The hours, their digests and, as one struct each, their values, in batches that several threads can take."""
    if frame.columns.empty:
        # DuckDB before 2 refuses a struct without fields; an empty map becomes the same JSON.
        objects = pa.array([[]] * len(frame), type=pa.map_(pa.string(), pa.float64()))
    else:
        values = frame.to_numpy(dtype="float64").T
        columns = [pa.array(column, mask=~np.isfinite(column) if missing == "null" else None) for column in values]
        objects = pa.StructArray.from_arrays(columns, names=list(frame.columns))
    digests = pa.nulls(len(frame), pa.uint64()) if inputs is None else pa.array(inputs)
    hours = frame.index.to_numpy(dtype="datetime64[us]")
    table = pa.table({"ts": hours, "digest": digests, "features": objects})
    return pa.Table.from_batches(table.to_batches(max_chunksize=_ROWS_PER_BATCH), table.schema)
