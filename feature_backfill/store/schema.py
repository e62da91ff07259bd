"""What tables a database has: their names, columns, types and primary keys."""

from collections.abc import Mapping, Sequence
from typing import Literal

import duckdb

from feature_backfill.errors import UserError
from feature_backfill.store.database import database_path, is_lake, scalar
from feature_backfill.store.sql import quoted

_Kind = Literal["table", "view"]
_KINDS: tuple[_Kind, ...] = ("table", "view")

_Column = tuple[str, str, bool]
"""Name, SQL type, and whether it is in the primary key."""


def describe_table(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """The SQL types of the columns of a table or view, by name, in its order.

    Raises UserError, listing the tables there are, if this one is missing.
    """
    return {name: sql_type for name, sql_type, _ in _required_columns(connection, table)}


def has_table(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether the database has a table or view of this name. Not for a transaction, which a broken view would abort."""
    return bool(_columns(connection, table))


def table_names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables and views of the database, by name."""
    return sorted(name for kind in _KINDS for name in _names(connection, kind))


def base_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables of the database, without its views, by name."""
    return sorted(_names(connection, "table"))


def _names(connection: duckdb.DuckDBPyConnection, kind: _Kind) -> list[str]:
    rows = connection.execute(
        f"SELECT {kind}_name FROM duckdb_{kind}s() WHERE NOT internal"
        " AND database_name = current_database() AND schema_name = current_schema()"
    ).fetchall()
    return [name for (name,) in rows]


def primary_key(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> str:
    """SQL that follows the columns of a new table: its primary key, where there can be one."""
    return "" if not columns or is_lake(connection) else f", PRIMARY KEY ({', '.join(columns)})"


def require_unique(
    connection: duckdb.DuckDBPyConnection, table: str, stamp: str, incoming: str, feature_key: str | None = None
) -> None:
    """Do in a lake what a primary key does in a DuckDB file: refuse rows that were just inserted, if a stamp repeats.

    To be called in the transaction that inserts them. incoming: view with the stamps; feature_key: of the rows, in a
    table that has several keys. Raises duckdb.ConstraintException.
    """
    if not is_lake(connection):
        return
    of_key = "" if feature_key is None else " AND feature_key = $feature_key"
    repeated = scalar(
        connection,
        f"SELECT {stamp} FROM {quoted(table)} WHERE {stamp} IN (SELECT {stamp} FROM {incoming}){of_key}"
        f" GROUP BY {stamp} HAVING count(*) > 1 LIMIT 1",
        {} if feature_key is None else {"feature_key": feature_key},
    )
    if repeated is not None:
        raise duckdb.ConstraintException(f"table {table} would have several rows of {repeated}")


def has_own_table(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], primary_key: Sequence[str]
) -> bool:
    """Whether one of the project's own tables is there. Raises UserError as require_schema does."""
    described = _columns(connection, table)
    if described:
        _require_columns(connection, table, described, columns, primary_key)
    return bool(described)


def require_schema(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], primary_key: Sequence[str]
) -> None:
    """Require a table to have exactly these columns, types and primary key. In a lake, there is none.

    columns: type by name, as describe_table spells them. Raises UserError that says what differs.
    """
    _require_columns(connection, table, _required_columns(connection, table), columns, primary_key)


def _require_columns(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    described: Sequence[_Column],
    columns: Mapping[str, str],
    primary_key: Sequence[str],
) -> None:
    found = {name: sql_type for name, sql_type, _ in described}
    differences = [f"column {name} is missing" for name in columns if name not in found]
    differences += [f"column {name} is not expected" for name in found if name not in columns]
    differences += [
        f"column {name} is {found[name]} instead of {sql_type}"
        for name, sql_type in columns.items()
        if found.get(name, sql_type) != sql_type
    ]
    key = [name for name, _, in_key in described if in_key]
    if set(key) != set(primary_key) and not is_lake(connection):
        differences.append(f"the primary key is ({', '.join(key)}) instead of ({', '.join(primary_key)})")
    if differences:
        raise UserError(
            f"table {table} of {database_path(connection)} has an unexpected schema: {'; '.join(differences)}. "
            "Rename it or choose another database"
        )


def _required_columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[_Column]:
    columns = _columns(connection, table)
    if not columns:
        present = table_names(connection)
        if table.lower() in map(str.lower, present):
            raise UserError(f"view {table} of {database_path(connection)} is broken: what it reads from has changed")
        raise UserError(
            f"no table {table} in {database_path(connection)}; the tables there: {', '.join(present) or 'none'}"
        )
    return columns


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[_Column]:
    """The columns of a table or view; none if there is no such one."""
    # DESCRIBE would take a name that is none for that of a file or of a Python variable. Columns are listed, not
    # tables: of every table DuckDB would find out the size, in a lake by a question to the catalog.
    listed = (
        "SELECT any_value(schema_name) FROM duckdb_columns() WHERE NOT internal AND database_name = current_database()"
        " AND schema_name = current_schema() AND lower(table_name) = lower(?)"
    )
    schema = scalar(connection, listed, [table])
    if schema is None:
        return []
    try:
        # Not pragma_table_info, which finds no table with a double quote in its name before DuckDB 2.
        described = connection.execute(f"DESCRIBE {quoted(schema)}.{quoted(table)}").fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):  # a broken view
        return []
    return [(name, sql_type, key == "PRI") for name, sql_type, _, key, *_ in described]
