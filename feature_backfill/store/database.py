"""Opening a DuckDB file, and what holds for every table: quoted names, columns and types, transactions.

DuckDB lets one process write a file, or several read it, never both at once. So connections are opened late and closed
early, and whoever finds the file taken waits a while. Within one process a file is open in one mode: where the OHLCV
and the target database are the same file, the caller opens it once, for writing, and uses that connection for both.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from feature_backfill.errors import UserError
from feature_backfill.paths import absolute

PATIENCE_S = 60.0
"""How long connect() waits for a file that is taken, in seconds."""

ROW_GROUP_SIZE = 2048
"""Rows that DuckDB stores as a unit. Bulk writes in multiples of it are never rewritten by a later one."""

_RETRY_EVERY_S = 0.2
_TAKEN = ("Could not set lock on file", "Unique file handle conflict", "different configuration")
_NOT_WRITTEN = "Could not write file"

_opening = threading.Lock()
_open_for_writing: set[Path] = set()

_log = logging.getLogger(__name__)


def quoted(identifier: str) -> str:
    """One identifier for use in SQL text; a dot in it is part of the name, not a separator of schema and table."""
    return '"' + identifier.replace('"', '""') + '"'


@contextmanager
def connect(path: Path, *, read_only: bool, patience: float = PATIENCE_S) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a DuckDB file, closed at the end of the block; its time zone is UTC.

    A file that is missing is created for writing and an error for reading. While somebody else holds the file, waits
    up to `patience` seconds. Until the block ends, this process must not open the file by other means, not even to
    look at it: closing any handle of a file drops the process's POSIX locks on it, DuckDB's among them.

    Raises UserError if the file is missing, is no DuckDB database, cannot be opened, or stays taken, and where the
    block writes and the disk does not take it: full, over quota, broken.
    """
    path = absolute(path)
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is a directory, a pipe or a device, not a DuckDB file; correct the path")
    if read_only and not path.exists():
        raise UserError(f"no DuckDB file {path}; check the path in the configuration or the command line")
    if not path.parent.is_dir():
        raise UserError(f"no folder {path.parent} for the DuckDB file {path.name}; create it or correct the path")
    connection = _open_patiently(path, read_only, patience)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        yield connection
    except duckdb.Error as error:
        if _NOT_WRITTEN in str(error):
            raise _not_written(path, error) from error
        raise
    finally:
        connection.close()
        if not read_only:
            _open_for_writing.discard(path)


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All statements of the block or, if it raises, none of them."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def describe_table(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """The columns of a table or view, in its order, with their SQL types.

    Raises UserError that lists the tables there are if this one is missing.
    """
    return {name: sql_type for name, sql_type, _ in _required_columns(connection, table)}


def has_table(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether the database has a table or view of this name. Not for a transaction, which a broken view would abort."""
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
    path = scalar(connection, "SELECT path FROM duckdb_databases() WHERE database_name = current_database()")
    return path or "the database in memory"


def scalar(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] = ()) -> Any:
    """The first value of the only row of a query, None if it has no row.

    fetchone() would leave the result open, which bars the connection from some other work.
    """
    rows = connection.execute(sql, parameters).fetchall()
    return rows[0][0] if rows else None


def has_own_table(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], primary_key: Sequence[str]
) -> bool:
    """Whether there is a table of the project's. Raises UserError as require_schema does if it is of another make."""
    if not has_table(connection, table):
        return False
    require_schema(connection, table, columns, primary_key)
    return True


def require_schema(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], primary_key: Sequence[str]
) -> None:
    """Raise UserError that says what differs unless a table has just these columns, types and primary key.

    columns: type by name, as describe_table spells them.
    """
    described = _required_columns(connection, table)
    found = {name: sql_type for name, sql_type, _ in described}
    differences = [f"column {name} is missing" for name in columns if name not in found]
    differences += [f"column {name} is not expected" for name in found if name not in columns]
    differences += [
        f"column {name} is {found[name]} instead of {sql_type}"
        for name, sql_type in columns.items()
        if found.get(name, sql_type) != sql_type
    ]
    key = [name for name, _, in_key in described if in_key]
    if set(key) != set(primary_key):
        differences.append(f"the primary key is ({', '.join(key)}) instead of ({', '.join(primary_key)})")
    if differences:
        raise UserError(
            f"table {table} of {database_path(connection)} is of another make: {'; '.join(differences)}. "
            "Rename it or choose another database"
        )


def _open_patiently(path: Path, read_only: bool, patience: float) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + patience
    told = False
    while True:
        try:
            return _open(path, read_only)
        except OSError as error:
            raise UserError(f"cannot make the DuckDB file {path}: {error.strerror}; see to its folder") from error
        except duckdb.Error as error:
            reason = " ".join(str(error).split())
            if _NOT_WRITTEN in reason:
                raise _not_written(path, error) from error
            if not any(sign in reason for sign in _TAKEN):
                raise UserError(f"cannot open {path} as a DuckDB database: {reason}") from error
            if time.monotonic() >= deadline:
                raise UserError(
                    f"{path} is in use and stayed so for {patience:g} s; wait for its holder or end it, "
                    f"then try again: {reason}"
                ) from error
            if not told:
                _log.warning("%s is in use; waiting up to %g s: %s", path, patience, reason)
                told = True
        time.sleep(_RETRY_EVERY_S)


def _not_written(path: Path, error: duckdb.Error) -> UserError:
    """The error of a disk that does not take what is written. The transaction it befell is undone."""
    reason = " ".join(str(error).split())
    return UserError(
        f"{path} could not be written; what was stored before is safe. Free space on its disk, then try again: {reason}"
    )


def _open(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open once; several readers in a process share one handle, a writer has its own.

    duckdb.connect() looks into a file before it finds out that this process has it attached, and thereby drops the
    writer's lock: hence the set of files that are being written here.
    """
    with _opening:
        if path in _open_for_writing:
            raise duckdb.ConnectionException("Unique file handle conflict: this process is writing the file")
        if read_only:
            # Without the prefix, DuckDB would take the file for what it looks like, and download what opens SQLite's.
            return duckdb.connect(f"duckdb:{path}", read_only=True)
        if not path.exists():
            _create(path)
        connection = _attach(path)
        _open_for_writing.add(path)
        return connection


def _create(path: Path) -> None:
    """Make an empty database: elsewhere first, for of half a header, from a crash or a full disk, nobody could recover.

    The link fails if another process was quicker; then, and where a disk knows no links, the file is opened as ever.
    """
    with TemporaryDirectory(prefix=f"{path.name}.new.", dir=path.parent) as folder:
        _attach(Path(folder, path.name)).close()
        with suppress(OSError):
            os.link(Path(folder, path.name), path)


def _attach(path: Path) -> duckdb.DuckDBPyConnection:
    """A private DuckDB instance with the file as its database, set up for JSON rows of many kilobytes.

    Only ATTACH takes a row group size. With the default of 122,880 every checkpoint would write anew up to 300 MB of
    such rows. Compressing them would take twice as long as everything else together, for a third of the size.
    """
    connection = duckdb.connect(config={"temp_directory": f"{path}.tmp", "force_compression": "uncompressed"})
    try:
        # ATTACH takes parameters only since DuckDB 2.
        file = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{file}' AS target (TYPE duckdb, ROW_GROUP_SIZE {ROW_GROUP_SIZE})")
        connection.execute("USE target")
    except BaseException:
        connection.close()
        raise
    return connection


def _required_columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str, bool]]:
    columns = _columns(connection, table)
    if not columns:
        present = table_names(connection)
        if table.lower() in map(str.lower, present):
            raise UserError(f"view {table} of {database_path(connection)} is broken: what it reads from has changed")
        raise UserError(
            f"no table {table} in {database_path(connection)}; the tables there: {', '.join(present) or 'none'}"
        )
    return columns


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str, bool]]:
    """Name, SQL type, and whether it is in the primary key, of each column; none if there is no such table or view."""
    if table.lower() not in map(str.lower, table_names(connection)):
        # DESCRIBE would take the name for that of a file or of a Python variable.
        return []
    try:
        # Not pragma_table_info, which finds no table with a double quote in its name before DuckDB 2.
        described = connection.execute(f"DESCRIBE main.{quoted(table)}").fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):  # a broken view
        return []
    return [(name, sql_type, key == "PRI") for name, sql_type, _, key, *_ in described]
