"""Lakes attached to the one DuckDB instance that a process has for this purpose, and that stay attached.

To load DuckLake and to attach a lake take a tenth of a second, a hundred times as long as to look into one. All markets
of a lake use what is attached once for reading, and once for writing. Each transaction sees what others committed.
Connections to PostgreSQL that nobody used for a minute are closed by DuckDB.
"""

import itertools
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field

import duckdb

from feature_backfill.config.lake import Lake
from feature_backfill.errors import UserError
from feature_backfill.store.attached import instance_in_memory
from feature_backfill.store.extensions import load_extensions
from feature_backfill.store.object_store import allow_object_store
from feature_backfill.store.sql import literal, quoted

INLINED_ROWS = 10
"""Up to so many rows of one insert are kept in the catalog, until the maintenance moves them to Parquet files. So a new
hour costs no file, and is there sooner."""

_MOST_IDLE = 4
"""So many lakes that nobody uses now stay attached."""

_Key = tuple[str, str, bool]
"""Catalog, data, and whether for reading only."""

_lock = threading.Lock()
_numbers = itertools.count()


@dataclass
class Attached:
    """A lake under an alias in an instance. users: connections that use it now; broken: to be detached after them."""

    root: duckdb.DuckDBPyConnection
    alias: str
    users: int = 0
    broken: bool = False


@dataclass
class _Instance:
    root: duckdb.DuckDBPyConnection
    attached: dict[_Key, Attached] = field(default_factory=dict)


_instances: dict[int, _Instance] = {}
"""The instance of each process: a fork must not use its parent's, and keeps it, since to close it would wait for
threads that the fork lacks."""


def attached_lake(lake: Lake, read_only: bool) -> Attached:
    """A lake, attached unless it is already; to be released with release_lake. Raises duckdb.Error, UserError."""
    with _lock:
        instance = _instance()
        key = (lake.catalog, lake.data, read_only)
        attached = instance.attached.pop(key, None) or _attach(instance.root, lake, read_only)
        instance.attached[key] = attached  # last, as the one that was used last
        attached.users += 1
        idle = [(key, each) for key, each in instance.attached.items() if not each.users]
        for key, each in idle[:-_MOST_IDLE]:
            del instance.attached[key]
            _detach(each)
        return attached


def release_lake(attached: Attached) -> None:
    """Let go of a lake, which stays attached unless it is broken."""
    with _lock:
        attached.users -= 1
        if attached.broken and not attached.users:
            _detach(attached)


def detach_lake(lake: Lake) -> None:
    """Have the next connection attach a lake anew: something is wrong with it, such as a catalog that went away."""
    with _lock:
        instance = _instance()
        for key in [key for key in instance.attached if key[:2] == (lake.catalog, lake.data)]:
            attached = instance.attached.pop(key)
            attached.broken = True
            if not attached.users:
                _detach(attached)


def forget_lakes() -> None:
    """Have the next lake attached to a new instance: after an error, DuckDB may have given up on the whole of this."""
    with _lock:
        _instances.pop(os.getpid(), None)


def lake_parameters(lake: Lake) -> str:
    """The parameters of the connection to the catalog as libpq takes them in one text. Raises ValueError."""
    quotable = str.maketrans({"'": r"\'", "\\": r"\\"})
    return " ".join(f"{name}='{value.translate(quotable)}'" for name, value in lake.connection.items())


def _instance() -> _Instance:
    process = os.getpid()
    if process not in _instances:
        root = instance_in_memory()
        load_extensions(root, ["ducklake", "postgres_scanner"])
        _instances[process] = _Instance(root)
    return _instances[process]


def _attach(root: duckdb.DuckDBPyConnection, lake: Lake, read_only: bool) -> Attached:
    if lake.in_bucket:
        allow_object_store(root)
    alias = f"{lake.place} #{next(_numbers)}"
    try:
        address = literal(f"ducklake:postgres:{lake_parameters(lake)}")
    except ValueError as error:
        raise UserError(f"{lake} cannot be opened: {error}") from error
    mode = "READ_ONLY" if read_only else f"DATA_INLINING_ROW_LIMIT {INLINED_ROWS}"
    root.execute(f"ATTACH {address} AS {quoted(alias)} ({mode}, DATA_PATH {literal(lake.data)})")
    return Attached(root, alias)


def _detach(attached: Attached) -> None:
    with suppress(duckdb.Error):  # DuckDB has given up on it
        attached.root.execute(f"DETACH DATABASE IF EXISTS {quoted(attached.alias)}")
