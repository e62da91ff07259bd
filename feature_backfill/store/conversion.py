"""Rewriting a DuckDB file in the storage version of new databases, which takes an eighth of the space for JSON rows."""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from feature_backfill.errors import RunError, UserError
from feature_backfill.paths import absolute
from feature_backfill.store.database import connect, database_path, scalar
from feature_backfill.store.sql import quoted
from feature_backfill.store.writable import STORAGE_VERSION, attach

_NEW = "__converted__"
_DEFINITIONS = {
    "schemas": "SELECT schema_name, comment FROM duckdb_schemas() WHERE NOT internal",
    "tables": "SELECT schema_name, table_name, sql, comment FROM duckdb_tables() WHERE NOT internal",
    "columns": "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal",
    "constraints": "SELECT schema_name, table_name, constraint_text FROM duckdb_constraints() WHERE true",
    "indexes": "SELECT schema_name, table_name, index_name, sql, comment FROM duckdb_indexes() WHERE true",
    "views": "SELECT schema_name, view_name, sql, comment FROM duckdb_views() WHERE NOT internal",
    "sequences": "SELECT schema_name, sequence_name, sql, last_value, comment FROM duckdb_sequences() WHERE true",
    "types": "SELECT schema_name, type_name, logical_type, labels::VARCHAR FROM duckdb_types() WHERE NOT internal",
    "macros": "SELECT schema_name, function_name, parameters::VARCHAR, macro_definition FROM duckdb_functions()"
    " WHERE NOT internal",
}
"""Everything that a database file can hold beside rows, each kind with the query that describes it."""


@dataclass(frozen=True)
class Conversion:
    """What a conversion did. before, after: size of the file in bytes; backup: the old file, None if it is gone."""

    before: int
    after: int
    backup: Path | None


def convert(path: Path, keep_old: bool = True) -> Conversion:
    """Rewrite a DuckDB file in storage version STORAGE_VERSION, with everything that is in it.

    All schemas, tables, views, constraints, indexes, sequences, types and macros are copied into a new file beside the
    old one, whoever made them. Both are compared, then the new file takes the old one's place in one step; the old one
    stays as `<name>.bak`, unless keep_old is false. Nobody can write the file meanwhile.

    Raises UserError if the file is missing or is no DuckDB database, or the backup exists already; RunError if the
    file is in use, or if something in it cannot be copied: then nothing has changed.
    """
    path = absolute(path)
    backup = path.with_name(f"{path.name}.bak") if keep_old else None
    if not path.exists():
        raise UserError(f"no DuckDB file {path} to convert; check the path")
    if backup is not None and backup.exists():
        raise UserError(f"{backup} exists already; move it away, or convert without keeping the old file")
    with connect(path, read_only=False):
        pass  # takes what a crash left in the write-ahead log into the file
    before = path.stat().st_size
    try:
        with (
            TemporaryDirectory(prefix=f"{path.name}.converted.", dir=path.parent) as folder,
            connect(path, read_only=True) as connection,
        ):
            new = Path(folder, path.name)
            _require_no_log(path)
            _copy(connection, new)
            shutil.copymode(path, new)
            _flush(new)
            _take_place(new, path, backup)
    except (duckdb.Error, OSError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{path} could not be converted and is as it was: {reason}") from error
    return Conversion(before, path.stat().st_size, backup)


def _require_no_log(path: Path) -> None:
    """A write-ahead log beside the file would be applied to the new one."""
    if path.with_name(f"{path.name}.wal").exists():
        raise RunError(f"{path} was written to meanwhile and is as it was; try again when nobody uses it")


def _copy(connection: duckdb.DuckDBPyConnection, new: Path) -> None:
    """Write the database of a connection to a new file. Raises RunError if that is not its equal."""
    old = scalar(connection, "SELECT current_database()")
    attach(connection, new, _NEW, STORAGE_VERSION)
    try:
        connection.execute(f"COPY FROM DATABASE {quoted(old)} TO {quoted(_NEW)}")
        different = differences(connection, old, _NEW)
    finally:  # the instance goes on to read other files
        with suppress(duckdb.Error):
            connection.execute(f"DETACH {quoted(_NEW)}")
    if different:
        raise RunError(
            f"{database_path(connection)} could not be converted and is as it was: "
            f"DuckDB does not copy {'; '.join(different)}"
        )


def differences(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> list[str]:
    """What two attached databases do not have in common, in words; empty if they are equal.

    Tables are compared by the number and the hashes of their rows, everything else by its definition.
    """
    found = []
    for kind, query in _DEFINITIONS.items():
        of_one, of_other = (
            {repr(row) for row in connection.execute(f"{query} AND database_name = ?", [database]).fetchall()}
            for database in (one, other)
        )
        if of_one != of_other:
            found.append(f"{kind} {', '.join(sorted(of_one ^ of_other))}")
    tables = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal AND database_name = ?", [one]
    ).fetchall()
    if not found:
        for schema, table in tables:
            if _contents(connection, one, schema, table) != _contents(connection, other, schema, table):
                found.append(f"the rows of table {schema}.{table}")
    return found


def _contents(connection: duckdb.DuckDBPyConnection, database: str, schema: str, table: str) -> tuple[object, ...]:
    """The number of rows, and two sums of their hashes, which do not depend on the order of the rows."""
    name = ".".join(map(quoted, (database, schema, table)))
    ((*contents,),) = connection.execute(
        f"SELECT count(*), bit_xor(hash(t)), sum(hash(t)::HUGEINT) FROM {name} AS t"
    ).fetchall()
    return tuple(contents)


def _take_place(new: Path, path: Path, backup: Path | None) -> None:
    """Put a file in another's place, which stays under the name of the backup; at no moment is there none."""
    if backup is not None:
        os.link(path, backup)
    try:
        new.replace(path)
    except OSError:
        if backup is not None:
            backup.unlink()
        raise


def _flush(file: Path) -> None:
    """Have the disk take a file before its name is relied on."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
