"""Keeping a lake small and quick: new rows into Parquet files, small files into larger ones, old snapshots away.

Nothing that is stored is lost by it. What `read_features(as_of=...)` reads is in a table, not in snapshots.
"""

from dataclasses import dataclass

import duckdb

from feature_backfill.store.database import scalar
from feature_backfill.store.lakes import alone_in_the_lake
from feature_backfill.store.schema import base_tables

LARGEST_MERGED_BYTES = 16 * 1024**2
"""Files of this size, of 8,000 rows of 440 features, are left alone: a day's rows must not have a year's rewritten."""

_DELETED_SHARE = 0.2
"""A file of whose rows so many were replaced is written anew without them."""

_UNREAD_DAYS = 1
"""For so long, files that no snapshot needs any more are kept: a query may still read them."""


_REWRITE = f"CALL ducklake_rewrite_data_files(?, ?, schema => ?, delete_threshold => {_DELETED_SHARE})"
_MERGE = f"CALL ducklake_merge_adjacent_files(?, ?, schema => ?, max_file_size => {LARGEST_MERGED_BYTES})"
_EXPIRE = "CALL ducklake_expire_snapshots(?, older_than => CAST(? AS TIMESTAMPTZ))"
_DELETE = "CALL ducklake_cleanup_old_files(?, older_than => CAST(? AS TIMESTAMPTZ))"


@dataclass(frozen=True)
class Maintained:
    """What was done: rows moved from the catalog to files, files merged or rewritten and what came of them, snapshots
    expired, files deleted."""

    rows_moved: int
    files_before: int
    files_after: int
    snapshots: int
    files_deleted: int

    def __str__(self) -> str:
        return (
            f"{self.rows_moved:,} new rows moved to files, {self.files_before:,} files made into {self.files_after:,}, "
            f"{self.snapshots:,} snapshots expired, {self.files_deleted:,} unused files deleted"
        )


def maintain_lake(connection: duckdb.DuckDBPyConnection, keep_days: int) -> Maintained:
    """Maintain the tables of a lake's schema, then expire the whole lake's snapshots that are older than some days.

    connection: open for writing, so that no other writer of the market comes between.
    """
    ((lake, schema),) = connection.execute("SELECT current_database(), current_schema()").fetchall()
    moved = connection.execute("CALL ducklake_flush_inlined_data(?, schema_name => ?)", [lake, schema]).fetchall()
    files = [
        (before, after)
        for table in base_tables(connection)
        for statement in (_REWRITE, _MERGE)
        for *_, before, after in connection.execute(statement, [lake, table, schema]).fetchall()
    ]
    with alone_in_the_lake(connection):  # of two markets that expire the same snapshots, one would fail
        expired = connection.execute(_EXPIRE, [lake, _before(connection, keep_days)]).fetchall()
        deleted = connection.execute(_DELETE, [lake, _before(connection, _UNREAD_DAYS)]).fetchall()
    return Maintained(
        sum(rows for *_, rows in moved),
        sum(before for before, _ in files),
        sum(after for _, after in files),
        len(expired),
        len(deleted),
    )


def _before(connection: duckdb.DuckDBPyConnection, days: int) -> str:
    """So many days ago, as text: a table function takes a constant."""
    return str(scalar(connection, "SELECT CAST(now() - to_days(CAST(? AS INTEGER)) AS VARCHAR)", [days]))
