"""Opening lakes: DuckLake's catalog in PostgreSQL, Parquet files in a folder or an S3-compatible store.

DuckLake has no primary keys. Two transactions that insert the same row would both commit, so that whoever writes holds
the market's lock, an advisory lock of PostgreSQL, until the connection is closed. The server drops it with the
connection of a process that was killed. Readers need no lock: they see the tables as of the last commit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import duckdb

from feature_backfill.config.lake import Lake
from feature_backfill.errors import UserError
from feature_backfill.store.attached_lakes import Attached, attached_lake, detach_lake, lake_parameters, release_lake
from feature_backfill.store.sql import quoted
from feature_backfill.store.writable import ROW_GROUP_SIZE

LAKE_TAKEN = "another writer has the lock of the market"
"""Stands in the error of a lake that cannot be opened for writing now."""

_PARQUET = {"parquet_compression": "zstd", "parquet_row_group_size": str(ROW_GROUP_SIZE)}
_MISSING = "does not exist - and creating a new DuckLake is explicitly disabled"
_BEING_MADE = ("Failed to initialize DuckLake", "already exists")
"""Somebody else makes the same lake at this moment, for another market. PostgreSQL lets one of both do so."""
_OTHER_DATA = "OVERRIDE_DATA_PATH"
_PREFIX = "__ducklake_metadata_"
_LAKE_LOCK = "SELECT 1 FROM pg_advisory_xact_lock(hashtextextended('feature_backfill', 0))"
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('feature_backfill {schema}', 0))"


class NoLakeError(UserError):
    """There is no such lake yet, or no such schema in it."""


def open_lake(lake: Lake, read_only: bool) -> tuple[duckdb.DuckDBPyConnection, Callable[[], None]]:
    """A connection to a lake, and what closes it. One that is missing is created for writing, an error for reading.

    Raises UserError if it cannot be opened, NoLakeError if it is missing, duckdb.ConnectionException with LAKE_TAKEN if
    somebody else writes.
    """
    try:
        attached = attached_lake(lake, read_only)
    except duckdb.Error as error:
        if all(sign in str(error) for sign in _BEING_MADE):
            raise duckdb.ConnectionException(LAKE_TAKEN) from None
        raise _not_opened(lake, error) from None
    opened: list[duckdb.DuckDBPyConnection] = []
    close = partial(_close, attached, opened)
    try:
        connection = attached.root.cursor()
        opened.append(connection)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        if not read_only:
            opened.append(_locked(attached, lake))
            _make_schema(connection, attached.alias, lake)
        connection.execute(f"USE {quoted(attached.alias)}.{quoted(lake.schema)}")
    except duckdb.Error as error:
        close()
        if LAKE_TAKEN in str(error):
            raise
        if not isinstance(error, duckdb.CatalogException):
            detach_lake(lake)
        raise _not_opened(lake, error) from None
    except BaseException:
        close()
        raise
    return connection, close


def lake_shown(database: str, schema: str) -> str:
    """The lake that is attached under a name, and the schema in it, for messages."""
    return f"{database.rpartition(' #')[0]}, schema {schema}"


def catalog_of(database: str) -> str:
    """The name under which the catalog of an attached lake is attached itself."""
    return f"{_PREFIX}{database}"


@contextmanager
def alone_in_the_lake(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Wait for whoever is in such a block, of any market of the lake, and keep others out of it."""
    ((database,),) = connection.execute("SELECT current_database()").fetchall()
    with connection.cursor() as holder:
        holder.begin()
        try:
            holder.execute("FROM postgres_query(?, ?)", [catalog_of(database), _LAKE_LOCK]).fetchall()
            yield
        finally:
            with suppress(duckdb.Error):
                holder.rollback()


def censored(lake: Lake, error: Exception) -> str:
    """The text of an error without what is secret in the address of the catalog."""
    with suppress(ValueError):
        text = str(error).replace(lake_parameters(lake), str(lake))
        password = lake.connection.get("password")
        return " ".join((text.replace(password, "***") if password else text).split())
    return type(error).__name__


def _locked(attached: Attached, lake: Lake) -> duckdb.DuckDBPyConnection:
    """A cursor whose open transaction holds the lock of the lake's schema."""
    holder = attached.root.cursor()
    holder.begin()
    sql = _LOCK.format(schema=lake.schema)
    ((granted,),) = holder.execute("FROM postgres_query(?, ?)", [catalog_of(attached.alias), sql]).fetchall()
    if granted:
        return holder
    holder.rollback()
    holder.close()
    raise duckdb.ConnectionException(LAKE_TAKEN)


def _make_schema(connection: duckdb.DuckDBPyConnection, alias: str, lake: Lake) -> None:
    """Create the schema if there is none. Its Parquet files are as fit for rows of many kilobytes as DuckDB's own."""
    named = "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?"
    if connection.execute(named, [alias, lake.schema]).fetchall():
        return
    connection.execute(f"CREATE SCHEMA {quoted(alias)}.{quoted(lake.schema)}")
    for option, value in _PARQUET.items():
        connection.execute("CALL ducklake_set_option(?, ?, ?, schema => ?)", [alias, option, value, lake.schema])


def _close(attached: Attached, opened: list[duckdb.DuckDBPyConnection]) -> None:
    for connection in opened:
        # If the catalog went away, closing a connection with an open transaction would abort the process.
        with suppress(duckdb.Error):
            connection.rollback()
        connection.close()
    release_lake(attached)


def _not_opened(lake: Lake, error: duckdb.Error) -> UserError:
    reason = censored(lake, error)
    if _MISSING in reason or isinstance(error, duckdb.CatalogException):
        return NoLakeError(f"there is nothing in {lake} yet; check the address, or materialize some hours first")
    if _OTHER_DATA in reason:
        return UserError(f"the catalog of {lake} keeps its files elsewhere than in {lake.data}: correct `data`")
    return UserError(f"{lake} cannot be opened: {reason}")
