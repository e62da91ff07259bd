"""The columns of a user's OHLCV table beyond those of OHLCV: what an import writes into them."""

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from feature_backfill.errors import UserError
from feature_backfill.store.database import database_path, scalar
from feature_backfill.store.sql import quoted

ZONED = "TIMESTAMP WITH TIME ZONE"
ZONELESS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")

LOOKED_AT = 1000
"""How many of the newest stored rows decide whether a column holds the closing time of the bar."""


@dataclass(frozen=True)
class ExtraColumns:
    """The further columns of a table.

    closing: those that hold the closing time of the bar in the stored rows, and get it in new rows; with their SQL
    types. empty: those that are NULL in new rows. A column that has a default is in neither.
    """

    closing: Mapping[str, str]
    empty: tuple[str, ...]


def extra_columns(connection: duckdb.DuckDBPyConnection, table: str, known: tuple[str, ...]) -> ExtraColumns:
    """The columns of a table other than the known ones, which include `timestamp`; names in lower case.

    Raises UserError if one takes neither NULL nor a default, and is not known to hold the closing time.
    """
    # Not pragma_table_info, which finds no table with a double quote in its name before DuckDB 2.
    described = connection.execute(f"DESCRIBE main.{quoted(table)}").fetchall()
    types = {name.lower(): sql_type for name, sql_type, *_ in described}
    further = [column for column in described if column[0].lower() not in known]
    closing = {
        name: sql_type
        for name, sql_type, *_ in further
        if sql_type in (*ZONELESS, ZONED) and _is_closing_time(connection, table, name, sql_type, types["timestamp"])
    }
    without_default = [(name, null) for name, _, null, _, default, _ in further if default is None]
    refused = [name for name, null in without_default if null == "NO" and name not in closing]
    if refused:
        raise UserError(
            f"table {table} of {database_path(connection)} demands values of {', '.join(refused)}, which files of "
            "OHLCV do not have; give the column a default, drop its NOT NULL, or import into another table"
        )
    return ExtraColumns(closing, tuple(name for name, _ in without_default if name not in closing))


def in_utc(column: str, sql_type: str) -> str:
    """SQL of a column of the table `stored` as a UTC-naive TIMESTAMP."""
    stamp = f"stored.{quoted(column)}"
    return f"({stamp} AT TIME ZONE 'UTC')" if sql_type == ZONED else f"CAST({stamp} AS TIMESTAMP)"


def _is_closing_time(
    connection: duckdb.DuckDBPyConnection, table: str, column: str, sql_type: str, stamp_type: str
) -> bool:
    """Whether a column is an hour after the timestamp in all of the newest rows; False if there is no row."""
    closes = f"{in_utc('timestamp', stamp_type)} + INTERVAL 1 HOUR"
    sql = (
        f"SELECT bool_and({in_utc(column, sql_type)} IS NOT DISTINCT FROM {closes})"
        f" FROM (FROM {quoted(table)} ORDER BY timestamp DESC LIMIT {LOOKED_AT}) AS stored"
    )
    return bool(scalar(connection, sql))
