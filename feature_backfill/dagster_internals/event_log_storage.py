"""Dagster's event log on SQLite, written in bulk.

Dagster's own SQLite event log writes each event of each hour in transactions of its own, once into the index over all
runs and once into the database of the run, where `bulk_events` writes one line.

Rests on these facts of Dagster 1.13.27, none of them public: a run has a database of its own, which `_initdb` makes
with all tables and indexes of an event log, and an index over all runs holds a copy of each asset event.

Without it everything works, slower: Dagster's own SQLite event log takes more than a hundred times as long
(`python -m benchmarks bookkeeping`).
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as db
from dagster import AssetKey, DagsterEventType, EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import _event_logs_directory
from dagster._serdes import ConfigurableClassData

from feature_backfill.dagster_internals.bulk_events import EventsInBulk, Row, insert_rows
from feature_backfill.dagster_internals.partitioned_entries import short_text

RUN_PAGE_BYTES = 1024
"""Of the database of a run. Its tables and indexes, most of them empty, take a page each: 27 KB in place of 110 with
SQLite's 4,096 bytes, for which there is a run for each hour."""


class BatchedSqliteEventLogStorage(EventsInBulk, SqliteEventLogStorage):
    """Dagster's default event log, same files, that writes the asset events of many hours in two transactions.

    Switched on in `$DAGSTER_HOME/dagster.yaml`; removing the lines again goes back to Dagster's own::

        event_log_storage:
          module: feature_backfill.event_log
          class: BatchedSqliteEventLogStorage
          config:
            base_dir: {env: DAGSTER_HOME}

    `base_dir` is the instance's directory, as it is for `storage: sqlite`.
    """

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "BatchedSqliteEventLogStorage":
        """The storage that `dagster.yaml` configures; Dagster calls this when it opens the instance."""
        cls.switch_batches_on()
        instance_dir = os.path.expanduser(config_value["base_dir"])  # Dagster takes a DAGSTER_HOME with ~ too
        return cls(_event_logs_directory(instance_dir), inst_data=inst_data)

    def _initdb(self, engine: db.Engine, for_index_shard: bool = False) -> None:
        if engine.url.database != self.path_for_shard(INDEX_SHARD_NAME):
            db.event.listen(engine, "connect", _set_page_size)  # without effect on a file that has pages
        super()._initdb(engine, for_index_shard)

    def log_transaction(self, run_id: str) -> AbstractContextManager[db.Connection]:
        """The database of the run."""
        return self.run_connection(run_id)

    def rows_transaction(self) -> AbstractContextManager[db.Connection]:
        """A transaction that writes has the database to itself."""
        return self.index_transaction()

    def log_line(self, event: EventLogEntry) -> Row:
        """The row as Dagster writes it, in fewer words: the index does not share the table."""
        return self._event_to_row(event) | {"event": short_text(event)}

    def store_each(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        """Store asset events of one run in two transactions."""
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_id) as connection:
            insert_rows(connection, iter(rows))
        with self.rows_transaction() as connection:
            insert_rows(connection, iter(rows))
            # SQLite has numbered them consecutively.
            end = connection.scalars(db.select(db.func.max(SqlEventLogStorageTable.c.id))).one() + 1
            self.note_each(connection, events, range(end - len(rows), end))

    def get_asset_partitions_for_run(
        self, run_id: str, of_type: DagsterEventType | set[DagsterEventType] | None = None
    ) -> Mapping[AssetKey, set[str | None]]:
        """The partitions of each asset that a run has events of. The index has them all, the log of the run has not."""
        columns = SqlEventLogStorageTable.c
        query = db.select(columns.asset_key, columns.partition).distinct()
        query = query.where(columns.run_id == run_id, columns.asset_key.isnot(None))
        if of_type:
            kinds = {of_type} if isinstance(of_type, DagsterEventType) else of_type
            query = query.where(columns.dagster_event_type.in_([kind.value for kind in kinds]))
        found: dict[AssetKey, set[str | None]] = defaultdict(set)
        with self.index_connection() as connection:
            for name, partition in connection.execute(query):
                if asset := AssetKey.from_db_string(name):
                    found[asset].add(partition)
        return found


def _set_page_size(connection: Any, _: object) -> None:
    connection.execute(f"PRAGMA page_size = {RUN_PAGE_BYTES}")
