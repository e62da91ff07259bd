"""What is asked of a target without reading its rows: is it there, and did it change?"""

from pathlib import Path

from feature_backfill.config.lake import Lake
from feature_backfill.errors import UserError
from feature_backfill.store.database import connect, scalar
from feature_backfill.store.lakes import NoLakeError, catalog_of

NO_SNAPSHOT = "none"

# What changed reads `inserted_into_table:3,created_table:"btc"."bars_4h"`.
_NEWEST_SNAPSHOT = """
    SELECT snapshot_id FROM ducklake_snapshot_changes, (
        SELECT string_agg(CAST(table_id AS TEXT), '|') AS ids
        FROM ducklake_table JOIN ducklake_schema USING (schema_id) WHERE schema_name = '{schema}'
    ) AS own
    WHERE changes_made ~ (':(' || ids || ')(,|$)') OR changes_made LIKE '%:"{schema}"%'
    ORDER BY snapshot_id DESC LIMIT 1
"""
"""The last commit that changed a table of a schema or created something in it."""


def exists(target: Path | Lake) -> bool:
    """Whether there is something to read. Raises UserError if a lake cannot be opened."""
    if isinstance(target, Path):
        return target.exists()
    try:
        with connect(target, read_only=True):
            return True
    except NoLakeError:
        return False


def require_place(target: Path | Lake) -> None:
    """Raise UserError if the folder of a file is missing, or a lake cannot be opened."""
    if isinstance(target, Lake):
        exists(target)
    elif not target.parent.is_dir():
        raise UserError(f"no folder {target.parent} for {target.name}; a disk that is not mounted? Create or mount it")


def newest_snapshot(lake: Lake) -> str:
    """A text that changes whenever somebody writes into the schema of a lake; NO_SNAPSHOT if there is none yet.

    Raises UserError if the lake cannot be opened.
    """
    try:
        with connect(lake, read_only=True) as connection:
            catalog = catalog_of(scalar(connection, "SELECT current_database()"))
            query = _NEWEST_SNAPSHOT.format(schema=lake.schema)
            return str(scalar(connection, "FROM postgres_query(?, ?)", [catalog, query]))
    except NoLakeError:
        return NO_SNAPSHOT
