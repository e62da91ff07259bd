"""The OHLCV table: one row an hour, stamped with its opening time.

Reading takes the table as somebody else may have made it: column names in any case, timestamps with or without a zone,
numbers of any type. Writing is for tables that files are imported into.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from feature_backfill.engine.bars import COLUMNS, names_of
from feature_backfill.engine.columns import Column
from feature_backfill.errors import UserError
from feature_backfill.store.database import database_path, is_damage, transaction
from feature_backfill.store.extra_columns import ZONED, ZONELESS, extra_columns, in_utc
from feature_backfill.store.schema import describe_table, has_table
from feature_backfill.store.sql import quoted

OHLCV_COLUMNS = ("timestamp", *COLUMNS)

INCOMING = "__incoming_ohlcv__"
"""The imported rows appear to DuckDB under this name, which must not hide a table of the database."""

_ON_THE_HOUR = "timestamp = date_trunc('hour', timestamp)"

_SOUND = (
    "low > 0 AND high < 'infinity' AND open BETWEEN low AND high AND close BETWEEN low AND high"
    " AND volume >= 0 AND volume < 'infinity'"
)
"""True only of rows that are sound: to DuckDB, NaN is greater than infinity."""


@dataclass(frozen=True)
class Upserted:
    """What an upsert did: hours that were not stored, stored with other values, stored with the same values.

    hours: those that were new or changed, UTC-naive, ascending. left_empty: further columns of the table, which are
    NULL in the new rows.
    """

    new: int
    changed: int
    same: int
    hours: pd.DatetimeIndex
    left_empty: tuple[str, ...]


def read_ohlcv(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
    columns: Sequence[Column] = (),
) -> pd.DataFrame:
    """The rows with start <= timestamp <= end, in time order, repeated and off-hour stamps included.

    columns: further ones of the table.

    Returns rows x (timestamp, open, high, low, close, volume and the columns): UTC-naive datetime64[us] and float64,
    NaN where a cell is NULL or no number. Rows without a timestamp are left out.

    Raises UserError if the table is missing, lacks a column, cannot be read (a view of what is gone), or its timestamp
    is of no timestamp type.
    """
    rows = _read(connection, table, "SELECT * FROM {rows} ORDER BY timestamp", start, end, names_of(columns))
    return rows.astype({"timestamp": "datetime64[us]"})


def ohlcv_hours(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
) -> pd.DatetimeIndex:
    """The distinct hours with start <= hour <= end that the table has a row for, ascending, UTC-naive.

    A stamp off the hour is no hour. Raises UserError as read_ohlcv does.
    """
    hours = f"SELECT DISTINCT timestamp FROM {{rows}} WHERE {_ON_THE_HOUR} ORDER BY timestamp"
    return _hours(_read(connection, table, hours, start, end)["timestamp"])


def ohlcv_extent(
    connection: duckdb.DuckDBPyConnection, table: str, end: pd.Timestamp | None = None
) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """The first and the last hour (up to an end) that the table has a row for; None if it has none.

    Raises UserError as read_ohlcv does.
    """
    ends = f"SELECT min(timestamp) AS first, max(timestamp) AS last FROM {{rows}} WHERE {_ON_THE_HOUR}"
    extent = _read(connection, table, ends, None, end)
    return None if extent["first"].isna().item() else (extent["first"].item(), extent["last"].item())


def sound_hours(
    connection: duckdb.DuckDBPyConnection, table: str, end: pd.Timestamp | None = None
) -> pd.DatetimeIndex | None:
    """The hours up to an end that the table has a row for, ascending, if each has a single row that is sound beyond
    doubt. None if some row needs a closer look, as HourlyRows takes it.

    Raises UserError as read_ohlcv does.
    """
    sound = f"coalesce({_SOUND}, false) AND {_ON_THE_HOUR} AS sound"
    query, as_arrays = f"SELECT timestamp, {sound} FROM {{rows}}", duckdb.DuckDBPyConnection.fetchnumpy
    rows = _read(connection, table, query, None, end, fetch=as_arrays)  # in a fifth of the time that a frame takes
    hours = pd.DatetimeIndex(np.sort(np.asarray(rows["timestamp"], "datetime64[us]")))
    return hours if np.all(rows["sound"]) and hours.is_unique else None


def upsert_ohlcv(connection: duckdb.DuckDBPyConnection, table: str, ohlcv: pd.DataFrame) -> Upserted:
    """Insert the rows whose timestamp is not stored, update those stored with other values; one transaction.

    ohlcv: rows x (timestamp, open, high, low, close, volume), UTC-naive and distinct stamps. A missing table is created
    with the timestamp as primary key; an existing one needs no key. Its further columns get the closing time of the bar
    where the stored rows have it there, else their default or NULL.

    Raises UserError if the table cannot take the rows.
    """
    with incoming_rows(connection, table, ohlcv):
        return upsert_incoming(connection, table)


@contextmanager
def incoming_rows(connection: duckdb.DuckDBPyConnection, table: str, ohlcv: pd.DataFrame) -> Iterator[None]:
    """A transaction in which SQL sees the rows under the name INCOMING. A missing table is created first.

    Raises UserError if the table does not take the rows.
    """
    try:
        missing = not has_table(connection, table)
        with _registered(connection, ohlcv), transaction(connection):
            if missing:
                values = ", ".join(f"{column} DOUBLE" for column in COLUMNS)
                connection.execute(f"CREATE TABLE {quoted(table)} (timestamp TIMESTAMP PRIMARY KEY, {values})")
            yield
    except (duckdb.ConstraintException, duckdb.ProgrammingError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"table {table} of {database_path(connection)} does not take the rows; import into another table: {reason}"
        ) from error


def same_hour(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """SQL that is true where a row `stored` of the table and a row `incoming` are of one hour."""
    return f"{in_utc('timestamp', _column_types(connection, table)['timestamp'])} = incoming.timestamp"


def differs() -> str:
    """SQL that is true where the values of a row `stored` and a row `incoming` differ."""
    stored, incoming = (f"({', '.join(f'{side}.{column}' for column in COLUMNS)})" for side in ("stored", "incoming"))
    return f"{stored} IS DISTINCT FROM {incoming}"


def upsert_incoming(connection: duckdb.DuckDBPyConnection, table: str) -> Upserted:
    """Insert and update as upsert_ohlcv does, within the block of incoming_rows."""
    types = _column_types(connection, table)
    inexact = [f"{column} {types[column]}" for column in COLUMNS if types[column] != "DOUBLE"]
    if inexact:
        raise UserError(
            f"table {table} of {database_path(connection)} stores {', '.join(inexact)}; "
            "an import writes DOUBLE: import into another table or change the types with ALTER TABLE"
        )
    extra = extra_columns(connection, table, OHLCV_COLUMNS)
    match = same_hour(connection, table)
    verdicts = connection.execute(
        f"""
        SELECT incoming.timestamp AS hour, count(stored.timestamp) = 0 AS new, bool_or({differs()}) AS differs
        FROM {INCOMING} AS incoming LEFT JOIN {quoted(table)} AS stored ON {match}
        GROUP BY hour ORDER BY hour
        """
    ).df()
    connection.execute(
        f"""
        UPDATE {quoted(table)} AS stored SET {", ".join(f"{column} = incoming.{column}" for column in COLUMNS)}
        FROM {INCOMING} AS incoming WHERE {match} AND {differs()}
        """
    )
    written = {"timestamp": _as_stored("timestamp", types["timestamp"]), **{column: column for column in COLUMNS}}
    for column, sql_type in extra.closing.items():
        written[quoted(column)] = _as_stored("(timestamp + INTERVAL 1 HOUR)", sql_type)
    connection.execute(
        f"""
        INSERT INTO {quoted(table)} ({", ".join(written)}) SELECT {", ".join(written.values())}
        FROM {INCOMING} AS incoming ANTI JOIN {quoted(table)} AS stored ON {match} ORDER BY timestamp
        """
    )
    new, changed = verdicts["new"], verdicts["differs"] & ~verdicts["new"]
    return Upserted(
        new=int(new.sum()),
        changed=int(changed.sum()),
        same=int((~new & ~changed).sum()),
        hours=_hours(verdicts.loc[new | changed, "hour"]),
        left_empty=extra.empty if new.any() else (),
    )


def _as_stored(stamp: str, sql_type: str) -> str:
    """SQL of a UTC-naive stamp for a column of a timestamp type."""
    return f"{stamp} AT TIME ZONE 'UTC'" if sql_type == ZONED else stamp


@contextmanager
def _registered(connection: duckdb.DuckDBPyConnection, ohlcv: pd.DataFrame) -> Iterator[None]:
    """Let SQL see the rows under the name INCOMING."""
    connection.register(INCOMING, ohlcv[list(OHLCV_COLUMNS)].astype({"timestamp": "datetime64[us]"}))
    try:
        yield
    finally:
        connection.unregister(INCOMING)


def _read(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    query: str,
    start: pd.Timestamp | None,
    end: pd.Timestamp | None,
    columns: Sequence[str] = (),
    fetch: Callable[[duckdb.DuckDBPyConnection], Any] = duckdb.DuckDBPyConnection.df,
) -> Any:
    """The result of a query of the `{rows}` from start to end, which have the further columns too; by default a frame.

    fetch: what becomes of the result.
    """
    relation = _between(connection, table, columns)
    try:
        return fetch(connection.execute(query.format(rows=relation), {"start": start, "end": end}))
    except duckdb.Error as error:
        if is_damage(error):
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"table {table} of {database_path(connection)} cannot be read: {reason}") from error


def _between(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str]) -> str:
    """SQL of the rows from $start to $end (NULL: no bound), stamps in UTC, values DOUBLE."""
    stamp = in_utc("timestamp", _column_types(connection, table, columns)["timestamp"])
    names = [*COLUMNS, *map(quoted, columns)]
    values = ", ".join(f"TRY_CAST({name} AS DOUBLE) AS {name}" for name in names)
    return f"""(
        SELECT {stamp} AS timestamp, {values} FROM {quoted(table)} AS stored
        WHERE isfinite({stamp})
          AND {stamp} BETWEEN coalesce(CAST($start AS TIMESTAMP), TIMESTAMP '-infinity')
                          AND coalesce(CAST($end AS TIMESTAMP), TIMESTAMP 'infinity')
    )"""


def _column_types(connection: duckdb.DuckDBPyConnection, table: str, further: Sequence[str] = ()) -> dict[str, str]:
    """The SQL types of a table's columns by lower-case name, if it can be read as OHLCV and has the further columns.

    SQL finds a column by its name in any case, so the lower-case names do for the statements too.
    """
    columns = describe_table(connection, table)
    types = {column.lower(): sql_type for column, sql_type in columns.items()}
    lacking = [column for column in OHLCV_COLUMNS if column not in types]
    absent = [column for column in further if column.lower() not in types]
    if not lacking and not absent and types["timestamp"] in (*ZONELESS, ZONED):
        return types
    place = f"table {table} of {database_path(connection)}"
    if lacking:
        raise UserError(f"{place} is no OHLCV table: it lacks {', '.join(lacking)}; it has {', '.join(columns)}")
    if absent:
        raise UserError(f"{place} lacks the further column {', '.join(absent)}; it has {', '.join(columns)}")
    raise UserError(f"the timestamp of {place} is {types['timestamp']}; it must be TIMESTAMP (UTC) or TIMESTAMPTZ")


def _hours(stamps: pd.Series) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(stamps.to_numpy("datetime64[us]"))
