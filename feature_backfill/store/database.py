"""Opening DuckDB files and lakes; transactions, single values.

DuckDB lets one process write a file or several processes read it, never both at once. So connections are opened late
and closed early, and a file that is in use is waited for. Within one process a file is open in one mode: where OHLCV
and the target database are the same file, the caller opens it once, for writing, and uses that connection for both.

Of a lake, whoever opens it for writing waits for another writer as well, and never for a reader.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from feature_backfill.config.lake import Lake
from feature_backfill.errors import DatabaseDamagedError, DatabaseTakenError, RunError, UserError
from feature_backfill.paths import absolute
from feature_backfill.store.attached import attached_for_reading, forget_instance, is_read
from feature_backfill.store.attached_lakes import detach_lake, forget_lakes
from feature_backfill.store.lakes import LAKE_TAKEN, censored, lake_shown, open_lake
from feature_backfill.store.sql import quoted
from feature_backfill.store.writable import create, open_for_writing

PATIENCE_S = 60.0
"""How long connect() waits for a file that is taken, in seconds."""

_longest_wait: ContextVar[float] = ContextVar("longest_wait", default=math.inf)

_RETRY_EVERY_S = 0.2
_TAKEN = ("Could not set lock on file", "Unique file handle conflict", "different configuration", LAKE_TAKEN)
_NOT_WRITTEN = "Could not write file"
_NO_FILE = "No such file or directory"
_INTERRUPTED = "Query interrupted"
_CORRUPT = "Corrupt database file"
_DAMAGE = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)

_CONFLICT = "Transaction conflict"
_MOST_TRIES = 5
"""How often a transaction is begun in a lake whose commits conflict with those of others. DuckLake itself commits up to
ten times where the only conflict is the number of the snapshot."""

Close = Callable[[], None]
Result = TypeVar("Result")

_opening = threading.Lock()
_open_for_writing: set[Path] = set()

_log = logging.getLogger(__name__)


@contextmanager
def waiting_at_most(seconds: float) -> Iterator[None]:
    """Have no connect() of the block wait longer than this for a file that is taken."""
    before = _longest_wait.set(seconds)
    try:
        yield
    finally:
        _longest_wait.reset(before)


@contextmanager
def connect(
    target: Path | Lake, *, read_only: bool, patience: float = PATIENCE_S
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a DuckDB file or a lake, closed at the end of the block; its time zone is UTC.

    One that is missing is created for writing and an error for reading. While somebody else holds the file, waits
    up to `patience` seconds. Until the block ends, this process must not open the file by other means, not even to
    look at it: closing any handle of a file drops the process's POSIX locks on it, DuckDB's among them.

    Raises UserError if the file is missing, is no DuckDB database or cannot be opened, and where the block writes and
    the disk does not take it: full, over quota, broken. Raises DatabaseTakenError if the file stays taken, and
    DatabaseDamagedError where the block meets a part of the file that is damaged. A lake that fails in the block is a
    RunError.
    """
    patience = min(patience, _longest_wait.get())
    if isinstance(target, Lake):
        with _lake(target, read_only, patience) as connection:
            yield connection
        return
    path = _required_place(target, read_only)
    with _interrupts():
        connection, close = _open_patiently(path, partial(_open, path, read_only), patience)
    try:
        with _interrupts():
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = false")
            yield connection
    except duckdb.Error as error:
        if _NOT_WRITTEN in str(error):
            raise _not_written(path, error) from error
        if is_damage(error):
            if read_only:
                forget_instance()
            raise _damaged(path, error) from error
        raise
    finally:
        close()
        if not read_only:
            _open_for_writing.discard(path)


@contextmanager
def _lake(lake: Lake, read_only: bool, patience: float) -> Iterator[duckdb.DuckDBPyConnection]:
    with _interrupts():
        connection, close = _open_patiently(lake, partial(open_lake, lake, read_only), patience)
    try:
        with _interrupts():
            yield connection
    except duckdb.Error as error:
        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            forget_lakes()
        detach_lake(lake)
        reason = censored(lake, error)
        remedy = "is the folder of its files mounted?" if _NO_FILE in reason else "what was stored before is safe"
        # Not from the error, whose text has the password if the catalog went away.
        raise RunError(f"{lake}: {reason}; {remedy}") from None
    finally:
        close()


def _required_place(path: Path, read_only: bool) -> Path:
    """The absolute path of a database. Raises UserError if there can be none, or if there is none to read."""
    path = absolute(path)
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is a directory, a pipe or a device, not a DuckDB file; correct the path")
    if read_only and not path.exists():
        raise UserError(f"no DuckDB file {path}; check the path in the configuration or the command line")
    if not path.parent.is_dir():
        raise UserError(f"no folder {path.parent} for the DuckDB file {path.name}; create it or correct the path")
    return path


@contextmanager
def _interrupts() -> Iterator[None]:
    """Let Ctrl-C, of which DuckDB makes an error wherever it meets it, be one again."""
    try:
        yield
    except (duckdb.InterruptException, RuntimeError) as error:
        if _INTERRUPTED in str(error):
            raise KeyboardInterrupt from error
        raise


def is_damage(error: duckdb.Error) -> bool:
    """Whether an error of a statement means that the database file is damaged, or was when DuckDB gave up on it."""
    return isinstance(error, _DAMAGE) or _CORRUPT in str(error)


def _damaged(path: Path, error: duckdb.Error) -> DatabaseDamagedError:
    reason = " ".join(str(error).split())
    return DatabaseDamagedError(
        f"{path} is damaged; nothing more was written to it. Restore a copy, or export what can still be read and "
        f"import it into a new database: {reason}"
    )


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All statements of the block or, if it raises, none of them."""
    connection.begin()
    try:
        yield
    except BaseException:
        with suppress(duckdb.FatalException):  # a database that DuckDB gave up on has rolled back already
            connection.rollback()
        raise
    connection.commit()


def in_transaction(connection: duckdb.DuckDBPyConnection, work: Callable[[], Result]) -> Result:
    """What the work returns, all of whose statements are done or, if it raises, none of them.

    In a lake, the work is done again if somebody else's commit went before and conflicts with it: SQL by hand, or a
    merge of files. The project's own writers wait for each other.
    """
    for tried in count(1):
        try:
            with transaction(connection):
                return work()
        except duckdb.TransactionException as error:
            if _CONFLICT not in str(error) or tried == _MOST_TRIES or not is_lake(connection):
                raise
            time.sleep(_RETRY_EVERY_S * tried)
    raise AssertionError("unreachable")


def is_lake(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a connection is to a lake, whose tables have no primary keys."""
    kind = scalar(connection, "SELECT type FROM duckdb_databases() WHERE database_name = current_database()")
    return bool(kind == "ducklake")


def database_path(connection: duckdb.DuckDBPyConnection) -> str:
    """The file behind a connection, or the lake, for messages."""
    if is_lake(connection):
        ((database, schema),) = connection.execute("SELECT current_database(), current_schema()").fetchall()
        return lake_shown(database, schema)
    path = scalar(connection, "SELECT path FROM duckdb_databases() WHERE database_name = current_database()")
    return path or "the database in memory"


@contextmanager
def beside(connection: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Another connection to the same database, for a statement beside one whose result is still open."""
    ((database, schema),) = connection.execute("SELECT current_database(), current_schema()").fetchall()
    with connection.cursor() as cursor:
        cursor.execute(f"USE {quoted(database)}.{quoted(schema)}")
        yield cursor


def scalar(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
) -> Any:
    """The first value of the only row of a query, None if it has no row.

    fetchone() would leave the result open, which bars the connection from some other work.
    """
    rows = connection.execute(sql, parameters).fetchall()
    return rows[0][0] if rows else None


def _open_patiently(
    place: Path | Lake, open_once: Callable[[], tuple[duckdb.DuckDBPyConnection, Close]], patience: float
) -> tuple[duckdb.DuckDBPyConnection, Close]:
    deadline = time.monotonic() + patience
    warned = False
    while True:
        try:
            return open_once()
        except OSError as error:
            raise UserError(f"cannot make the DuckDB file {place}: {error.strerror}; see to its folder") from error
        except duckdb.Error as error:
            reason = " ".join(str(error).split())
            if _NOT_WRITTEN in reason:
                raise _not_written(place, error) from error
            if not any(sign in reason for sign in _TAKEN):
                raise UserError(f"cannot open {place} as a DuckDB database: {reason}") from error
            if time.monotonic() >= deadline:
                raise DatabaseTakenError(
                    f"{place} is in use and stayed so for {patience:g} s; wait for its holder or end it, "
                    f"then try again: {reason}"
                ) from error
            if not warned:
                _log.warning("%s is in use; waiting up to %g s: %s", place, patience, reason)
                warned = True
        time.sleep(_RETRY_EVERY_S)


def _not_written(place: Path | Lake, error: duckdb.Error) -> UserError:
    """The error of a disk that does not take what is written. The transaction it befell is undone."""
    reason = " ".join(str(error).split())
    return UserError(
        f"{place} could not be written; what was stored before is safe. Free space on its disk, then try again: "
        f"{reason}"
    )


def _open(path: Path, read_only: bool) -> tuple[duckdb.DuckDBPyConnection, Close]:
    """Open once; several readers in a process share one handle, a writer has its own. Returns also what closes it.

    DuckDB looks into a file before it finds out that this process has it attached, and thereby drops the
    writer's lock: hence the set of files that are being written here.
    """
    with _opening:
        if path in _open_for_writing:
            raise duckdb.ConnectionException("Unique file handle conflict: this process is writing the file")
        if read_only:
            return attached_for_reading(path)
        if is_read(path):
            raise duckdb.ConnectionException("Unique file handle conflict: this process is reading the file")
        if not path.exists():
            create(path)
        connection = open_for_writing(path)
        _open_for_writing.add(path)
        return connection, connection.close
