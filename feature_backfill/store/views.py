"""SQL views of feature keys: one column a feature, for whoever queries the database with DuckDB itself."""

import json
import re

import duckdb

from feature_backfill.errors import UserError
from feature_backfill.store.contracts import recorded_contract
from feature_backfill.store.database import database_path, scalar
from feature_backfill.store.features import TABLE, last_stored_hour, require_features_table
from feature_backfill.store.row_source import RowSource
from feature_backfill.store.schema import has_table
from feature_backfill.store.sql import literal, quoted

_OWN_TABLES = re.compile(r"features|features_replaced|feature_inputs|feature_keys|bars_.*", re.IGNORECASE)


def create_view(connection: duckdb.DuckDBPyConnection, feature_key: str, view: str) -> int:
    """Create or replace a view of a key's rows: ts, then one DOUBLE column for each feature of the newest row.

    A view follows the rows as they are stored; each query of it parses their JSON. It is NULL where a row has null or
    lacks the feature. Rows that come with other names need the view created anew.

    connection: of the features' database, open for writing. Returns the number of features.

    Raises UserError if there is no features table or no row of the key, if `view` is the name of another table or view
    or one that the project uses for its tables, or if the key has features whose names differ only in case, which SQL
    does not tell apart.
    """
    require_features_table(connection)
    newest = last_stored_hour(connection, feature_key)
    if newest is None:
        raise UserError(f"no row under the key {feature_key} in {database_path(connection)}; compute some first")
    _require_free(connection, view)
    recorded = recorded_contract(connection, feature_key)
    names = RowSource(connection, feature_key).names(newest) if recorded is None else list(recorded.names)
    if not names:
        raise UserError(f"the row of {newest} under the key {feature_key} has no features; compute it anew")
    _require_distinct(names, feature_key)
    # A view takes no parameters.
    structure = literal(json.dumps(dict.fromkeys(names, "DOUBLE"), ensure_ascii=False))
    connection.execute(
        f"""
        CREATE OR REPLACE VIEW {quoted(view)} AS
        SELECT ts, unnest(from_json(features, {structure})) FROM {TABLE} WHERE feature_key = {literal(feature_key)}
        """
    )
    return len(names)


def _require_free(connection: duckdb.DuckDBPyConnection, view: str) -> None:
    if not view.strip() or not view.isprintable():
        raise UserError(f"the view's name {view!r} is blank or contains unprintable characters")
    if _OWN_TABLES.fullmatch(view):
        raise UserError(f"{view} is a name of the project's own tables; call the view something else")
    if has_table(connection, view) and not _is_features_view(connection, view):
        raise UserError(
            f"{database_path(connection)} has a table or view {view} of something else; call the view something else"
        )


def _is_features_view(connection: duckdb.DuckDBPyConnection, view: str) -> bool:
    sql = scalar(
        connection,
        "SELECT sql FROM duckdb_views() WHERE lower(view_name) = lower(?)"
        " AND database_name = current_database() AND schema_name = current_schema()",
        [view],
    )
    return sql is not None and "unnest(from_json(features," in sql


def _require_distinct(names: list[str], feature_key: str) -> None:
    spellings: dict[str, str] = {"ts": "the hour"}
    for name in names:
        other = spellings.setdefault(name.lower(), name)
        if other != name:
            raise UserError(f"{name} and {other} of {feature_key} would be one column of a view; SQL ignores case")
