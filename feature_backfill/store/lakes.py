"""Opening lakes: DuckLake's catalog in PostgreSQL, Parquet files in a folder or an S3-compatible store.

All lakes are attached to one DuckDB instance in memory that a process has for this purpose, since loading DuckLake
takes a tenth of a second, and each connection attaches its lake anew, since that shows it what others have created.

DuckLake has no primary keys. Two transactions that insert the same row would both commit, so that whoever writes holds
the market's lock, an advisory lock of PostgreSQL, until the connection is closed. The server drops it with the
connection of a process that was killed. Readers need no lock: they see the tables as of the last commit.
"""

import itertools
import os
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import duckdb

from feature_backfill.config.lake import Lake
from feature_backfill.errors import UserError
from feature_backfill.store.extensions import load_extensions
from feature_backfill.store.object_store import allow_object_store
from feature_backfill.store.sql import literal, quoted
from feature_backfill.store.writable import ROW_GROUP_SIZE

LAKE_TAKEN = "another writer has the lock of the market"
"""Stands in the error of a lake that cannot be opened for writing now."""

INLINED_ROWS = 10
"""Up to so many rows of one insert are kept in the catalog, until `maintain-lake` moves them to Parquet files. So a new
hour costs no file, and is there in a third of the time."""

_PARQUET = {"parquet_compression": "zstd", "parquet_row_group_size": str(ROW_GROUP_SIZE)}
_MISSING = "does not exist - and creating a new DuckLake is explicitly disabled"
_PREFIX = "__ducklake_metadata_"
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('feature_backfill {schema}', 0))"

_lock = threading.Lock()
_numbers = itertools.count()
_roots: dict[int, duckdb.DuckDBPyConnection] = {}
"""The instance of each process: a fork must not use its parent's, and keeps it, since to close it would wait for
threads that the fork lacks."""


class NoLakeError(UserError):
    """There is no such lake yet, or no such schema in it."""


def open_lake(lake: Lake, read_only: bool) -> tuple[duckdb.DuckDBPyConnection, Callable[[], None]]:
    """A connection to a lake, and what closes it. One that is missing is created for writing, an error for reading.

    Raises UserError if it cannot be opened, NoLakeError if it is missing, duckdb.ConnectionException with LAKE_TAKEN if
    somebody else writes.
    """
    alias = f"{lake} #{next(_numbers)}"
    root = _root()
    close = partial(_close, root, alias, opened := [])
    try:
        connection = root.cursor()
        opened.append(connection)
        load_extensions(connection, ["ducklake", "postgres_scanner"])
        if lake.in_bucket:
            allow_object_store(connection)
        connection.execute(f"ATTACH {_address(lake)} AS {quoted(alias)} ({_options(lake, read_only)})")
        if not read_only:
            opened.append(_locked(root, alias, lake))
            _make_schema(connection, alias, lake)
        connection.execute(f"USE {quoted(alias)}.{quoted(lake.schema)}")
    except duckdb.Error as error:
        close()
        if LAKE_TAKEN in str(error):
            raise
        raise _not_opened(lake, error) from None
    except BaseException:
        close()
        raise
    return connection, close


def lake_shown(database: str) -> str:
    """The lake that is attached under a name, for messages."""
    return database.rpartition(" #")[0]


def catalog_of(database: str) -> str:
    """The name under which the catalog of an attached lake is attached itself."""
    return f"{_PREFIX}{database}"


def censored(lake: Lake, error: Exception) -> str:
    """The text of an error without what is secret in the address of the catalog."""
    with suppress(ValueError):
        text = str(error).replace(_parameters(lake), str(lake))
        password = lake.connection.get("password")
        return " ".join((text.replace(password, "***") if password else text).split())
    return type(error).__name__


def forget_lakes() -> None:
    """Have the next lake attached to a new instance: after an error, DuckDB may have given up on the whole of this."""
    with _lock:
        _roots.pop(os.getpid(), None)


def _root() -> duckdb.DuckDBPyConnection:
    with _lock:
        process = os.getpid()
        if process not in _roots:
            spilled = Path(tempfile.gettempdir(), f"feature_backfill.{process}.{next(_numbers)}.tmp")
            root = duckdb.connect(config={"temp_directory": str(spilled)})
            root.execute("SET TimeZone = 'UTC'")
            root.execute("SET enable_progress_bar = false")
            _roots[process] = root
        return _roots[process]


def _locked(root: duckdb.DuckDBPyConnection, alias: str, lake: Lake) -> duckdb.DuckDBPyConnection:
    """A cursor whose open transaction holds the lock of the lake's schema."""
    holder = root.cursor()
    holder.begin()
    sql = _LOCK.format(schema=lake.schema)
    ((granted,),) = holder.execute("FROM postgres_query(?, ?)", [catalog_of(alias), sql]).fetchall()
    if granted:
        return holder
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


def _close(root: duckdb.DuckDBPyConnection, alias: str, opened: list[duckdb.DuckDBPyConnection]) -> None:
    for connection in opened:
        # If the catalog went away, closing a connection with an open transaction would abort the process.
        with suppress(duckdb.Error):
            connection.rollback()
        connection.close()
    with suppress(duckdb.Error):  # never attached, or DuckDB has given up
        root.cursor().execute(f"DETACH DATABASE IF EXISTS {quoted(alias)}")


def _address(lake: Lake) -> str:
    try:
        return literal(f"ducklake:postgres:{_parameters(lake)}")
    except ValueError as error:
        raise UserError(f"{lake} cannot be opened: {error}") from error


def _parameters(lake: Lake) -> str:
    """The connection's parameters as libpq takes them in one text."""
    quotable = str.maketrans({"'": r"\'", "\\": r"\\"})
    return " ".join(f"{name}='{value.translate(quotable)}'" for name, value in lake.connection.items())


def _options(lake: Lake, read_only: bool) -> str:
    if read_only:
        return f"READ_ONLY, DATA_PATH {literal(lake.data)}"
    return f"DATA_PATH {literal(lake.data)}, DATA_INLINING_ROW_LIMIT {INLINED_ROWS}"


def _not_opened(lake: Lake, error: duckdb.Error) -> UserError:
    reason = censored(lake, error)
    if _MISSING in reason or isinstance(error, duckdb.CatalogException):
        return NoLakeError(f"there is nothing in {lake} yet; check the address, or materialize some hours first")
    return UserError(f"{lake} cannot be opened: {reason}")
