"""Opening a DuckDB file, and what holds for every table: quoted names, columns and their types.

DuckDB lets one process write a file, or several read it, never both at once. So connections are opened late and closed
early, and whoever finds the file taken waits a while. Within one process a file is open in one mode: where the OHLCV
and the target database are the same file, the caller opens it once, for writing, and uses that connection for both.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from feature_backfill.errors import UserError

PATIENCE_S = 60.0
_RETRY_EVERY_S = 0.2

_log = logging.getLogger(__name__)


def quoted(identifier: str) -> str:
    """One identifier for use in SQL text; a dot in it is part of the name, not a separator of schema and table."""
    return '"' + identifier.replace('"', '""') + '"'


@contextmanager
def connect(path: Path, *, read_only: bool, patience: float = PATIENCE_S) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a DuckDB file, closed at the end of the block; its session's time zone is UTC.

    A file that is missing is created for writing and an error for reading. While another process holds the file,
    waits up to `patience` seconds.

    Raises UserError if the file is missing, is no DuckDB database, cannot be opened, or stays locked.
    """
    path = path.resolve()
    if read_only and not path.exists():
        raise UserError(f"no DuckDB file {path}; check the path in the configuration or the command line")
    if not path.parent.is_dir():
        raise UserError(f"no folder {path.parent} for the DuckDB file {path.name}; create it or correct the path")
    with closing(_open_patiently(path, read_only, patience)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def _open_patiently(path: Path, read_only: bool, patience: float) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + patience
    told = False
    while True:
        try:
            return duckdb.connect(path, read_only=read_only)
        except duckdb.Error as error:
            reason = " ".join(str(error).split())
            if not _is_taken(error):
                raise UserError(f"cannot open {path} as a DuckDB database: {reason}") from error
            if time.monotonic() >= deadline:
                raise UserError(
                    f"{path} is in use and stayed so for {patience:g} s; end the process named here or wait for it, "
                    f"then try again: {reason}"
                ) from error
            if not told:
                _log.warning("%s is in use; waiting up to %g s: %s", path, patience, reason)
                told = True
        time.sleep(_RETRY_EVERY_S)


def _is_taken(error: duckdb.Error) -> bool:
    """Whether waiting can help: another process holds the file, or this one has it open in another mode."""
    return "Could not set lock on file" in str(error) or isinstance(error, duckdb.ConnectionException)


def describe_table(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """The columns of a table or view, in its order, with their SQL types.

    Raises UserError that lists the tables there are if this one is missing.
    """
    columns = _columns(connection, table)
    if not columns:
        raise UserError(
            f"no table {table} in {database_path(connection)}; there are: {', '.join(table_names(connection)) or 'none'}"
        )
    return columns


def has_table(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether the database has a table or view of this name."""
    return bool(_columns(connection, table))


def table_names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables and views of the database, by name."""
    rows = connection.execute(
        "SELECT DISTINCT table_name FROM duckdb_columns() WHERE NOT internal"
        " AND database_name = current_database() AND schema_name = current_schema() ORDER BY table_name"
    ).fetchall()
    return [name for (name,) in rows]


def database_path(connection: duckdb.DuckDBPyConnection) -> str:
    """The file behind a connection, for messages."""
    row = connection.execute(
        "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    ).fetchone()
    return str(row[0]) if row and row[0] else "the database in memory"


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    rows = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE lower(table_name) = lower(?)"
        " AND database_name = current_database() AND schema_name = current_schema() ORDER BY column_index",
        [table],
    ).fetchall()
    return dict(rows)
