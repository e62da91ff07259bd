"""Files attached for reading to the one DuckDB instance that a process has for this purpose.

To make an instance takes twenty times as long as to attach a file to one. Whoever looks at hundreds of databases an
hour, for a moment each, would spend most of its time on that.
"""

import itertools
import os
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb

from feature_backfill.store.sql import literal

_lock = threading.Lock()
_numbers = itertools.count()


def instance_in_memory() -> duckdb.DuckDBPyConnection:
    """A DuckDB instance of its own, which spills into a folder of its own."""
    spilled = Path(tempfile.gettempdir(), f"feature_backfill.{os.getpid()}.{next(_numbers)}.tmp")
    return duckdb.connect(config={"temp_directory": str(spilled)})


class _Instance:
    """An instance in memory, and the alias and the number of readers of each file that is attached to it."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.root = instance_in_memory()
        self.readers: dict[Path, tuple[str, int]] = {}

    def attach(self, path: Path) -> str:
        """The alias of a file, which is attached unless it is already."""
        alias, readers = self.readers.get(path, (f"file_{next(_numbers)}", 0))
        if not readers:
            # Without the type, DuckDB would take the file for what it looks like, and download what opens SQLite's.
            self.root.execute(f"ATTACH {literal(str(path))} AS {alias} (TYPE duckdb, READ_ONLY)")
        self.readers[path] = alias, readers + 1
        return alias

    def detach(self, path: Path) -> None:
        """Detach a file unless somebody else reads it."""
        alias, readers = self.readers[path]
        if readers > 1:
            self.readers[path] = alias, readers - 1
            return
        del self.readers[path]
        if self is _instance:
            self.root.execute(f"DETACH {alias}")
        elif not self.readers:
            self.root.close()


_instance: _Instance | None = None
_lost: list[_Instance] = []
"""Instances from before a fork. They are kept: to close one would wait for its threads, which this process lacks."""


def attached_for_reading(path: Path) -> tuple[duckdb.DuckDBPyConnection, Callable[[], None]]:
    """A connection to a file, and what closes it. Raises duckdb.Error if the file cannot be attached."""
    global _instance
    with _lock:
        if _instance is not None and _instance.process != os.getpid():
            _lost.append(_instance)
            _instance = None
        if _instance is None:
            _instance = _Instance()
        alias = _instance.attach(path)
        connection = _instance.root.cursor()
        connection.execute(f"USE {alias}")
        return connection, partial(_close, _instance, connection, path)


def is_read(path: Path) -> bool:
    """Whether this process has a file attached for reading."""
    with _lock:
        return _instance is not None and _instance.process == os.getpid() and path in _instance.readers


def forget_instance() -> None:
    """Have the next file attached to a new instance: after an error, DuckDB may have given up on the whole of this."""
    global _instance
    with _lock:
        _instance = None


def _close(instance: _Instance, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    connection.close()
    with _lock:
        instance.detach(path)
