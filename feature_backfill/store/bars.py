"""The bars tables of the target database, one a timeframe: the complete bars that the features are computed from."""

import duckdb
import pandas as pd

from feature_backfill.engine.bars import COLUMNS
from feature_backfill.store.database import in_transaction
from feature_backfill.store.schema import has_own_table, primary_key, require_schema, require_unique
from feature_backfill.store.sql import quoted

_COLUMNS = {"timestamp": "TIMESTAMP", **dict.fromkeys(COLUMNS, "DOUBLE")}
_PRIMARY_KEY = ("timestamp",)
_DTYPES = {"timestamp": "datetime64[us]", **dict.fromkeys(COLUMNS, "float64")}

NO_BARS = pd.DataFrame(columns=list(_DTYPES)).astype(_DTYPES)

# The rows to write appear to DuckDB under this name, which must not hide a table of the database.
_INCOMING = "__incoming_bars__"


def bars_table(timeframe: str) -> str:
    """The table of a timeframe: bars_4h for 4H."""
    return f"bars_{timeframe.lower()}"


def write_bars(
    connection: duckdb.DuckDBPyConnection, timeframe: str, start: pd.Timestamp, end: pd.Timestamp, bars: pd.DataFrame
) -> int:
    """Make the bars from start to end, both included, those of a frame, in one transaction; no other bar is touched.

    bars: rows x (timestamp, open, high, low, close, volume), distinct UTC-naive stamps within start and end, no NaN. A
    missing table is created. Nothing is written where the table holds just these bars.

    Returns the number of rows written. Raises UserError if the table has an unexpected schema, ValueError if a bar lies
    outside the range.
    """
    incoming = bars[list(_DTYPES)].astype(_DTYPES).sort_values("timestamp", ignore_index=True)
    if not incoming["timestamp"].between(start, end).all():
        raise ValueError(f"{timeframe} bars outside {start} .. {end}")
    _ensure_table(connection, timeframe)
    if read_bars(connection, timeframe, start, end).equals(incoming):
        return 0
    table = quoted(bars_table(timeframe))

    def replace() -> None:
        connection.execute(f"DELETE FROM {table} WHERE timestamp BETWEEN ? AND ?", [start, end])
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM {_INCOMING}")
        require_unique(connection, bars_table(timeframe), "timestamp", _INCOMING)

    connection.register(_INCOMING, incoming)
    try:
        in_transaction(connection, replace)
    finally:
        connection.unregister(_INCOMING)
    return len(incoming)


def read_bars(
    connection: duckdb.DuckDBPyConnection, timeframe: str, start: pd.Timestamp, end: pd.Timestamp
) -> pd.DataFrame:
    """The bars from start to end, both included, in time order; none if there is no table.

    Returns rows x (timestamp, open, high, low, close, volume): UTC-naive datetime64[us] and float64.

    Raises UserError if the table has an unexpected schema.
    """
    table = bars_table(timeframe)
    if not has_own_table(connection, table, _COLUMNS, _PRIMARY_KEY):
        return NO_BARS.copy()
    rows = connection.execute(
        f"SELECT {', '.join(_DTYPES)} FROM {quoted(table)} WHERE timestamp BETWEEN ? AND ? ORDER BY timestamp",
        [start, end],
    ).df()
    return rows.astype(_DTYPES)


def _ensure_table(connection: duckdb.DuckDBPyConnection, timeframe: str) -> None:
    table = bars_table(timeframe)
    values = ", ".join(f"{column} DOUBLE NOT NULL" for column in COLUMNS)
    key = primary_key(connection, _PRIMARY_KEY)
    connection.execute(f"CREATE TABLE IF NOT EXISTS {quoted(table)} (timestamp TIMESTAMP NOT NULL, {values}{key})")
    require_schema(connection, table, _COLUMNS, _PRIMARY_KEY)
