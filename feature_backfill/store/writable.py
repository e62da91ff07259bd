"""DuckDB files for writing: made in the project's storage version, and attached in its row groups."""

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from feature_backfill.store.sql import literal, quoted

ROW_GROUP_SIZE = 2048
"""Rows that DuckDB stores as a unit. Bulk writes in multiples of it are never rewritten by a later one."""

STORAGE_VERSION = "v1.2.0"
"""The storage version of new databases: the lowest in which DuckDB compresses long text, by ZSTD, to an eighth of its
size. DuckDB 1.2.0 and every later version reads such a file; older ones refuse it."""


def create(path: Path) -> None:
    """Make an empty database: elsewhere first, for of half a header, from a crash or a full disk, nobody could recover.

    The link fails if another process was quicker; then, and where a disk knows no links, the file is opened as ever.
    """
    with TemporaryDirectory(prefix=f"{path.name}.new.", dir=path.parent) as folder:
        open_for_writing(Path(folder, path.name)).close()
        with suppress(OSError):
            os.link(Path(folder, path.name), path)


def open_for_writing(path: Path) -> duckdb.DuckDBPyConnection:
    """A private DuckDB instance with the file as its database, set up for JSON rows of many kilobytes.

    Only ATTACH takes a row group size. With the default of 122,880 every checkpoint would write anew the compressed
    text of up to 122,879 rows. A file that exists keeps its storage version.
    """
    connection = duckdb.connect(config={"temp_directory": f"{path}.tmp"})
    try:
        attach(connection, path, "target", None if path.exists() else STORAGE_VERSION)
        connection.execute("USE target")
    except BaseException:
        connection.close()
        raise
    return connection


def attach(connection: duckdb.DuckDBPyConnection, path: Path, name: str, storage_version: str | None) -> None:
    """Attach a file for writing, in row groups of ROW_GROUP_SIZE. storage_version: of a new file."""
    options = f"TYPE duckdb, READ_WRITE, ROW_GROUP_SIZE {ROW_GROUP_SIZE}"
    if storage_version is not None:
        options += f", STORAGE_VERSION '{storage_version}'"
    # ATTACH takes parameters only since DuckDB 2.
    connection.execute(f"ATTACH {literal(str(path))} AS {quoted(name)} ({options})")
