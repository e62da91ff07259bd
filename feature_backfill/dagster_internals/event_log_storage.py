"""Dagster's event log on SQLite, written in bulk.

Dagster's own SQLite event log writes each event of each hour in transactions of its own. This one leaves the same
records, thousands to a transaction. Events that differ only in their partition are serialized once and copied inside
SQLite.

Rests on these facts of Dagster 1.13.27 (with SQLAlchemy 2), none of them public:

* a run has a database of its own, and an index over all runs holds a copy of each asset event;
* the table `SqlEventLogStorageTable`, and `_event_to_row`, which makes a row of it from an entry;
* `_store_asset_event_tags` and `_store_asset_event`, which keep an asset's tags and its row among the asset keys;
* events come in batches if `DAGSTER_EVENT_BATCH_SIZE` is set, and go to `store_event_batch`;
* a range is planned in one event if the storage says that it supports this.

Without it everything works, slower: Dagster's own SQLite event log takes more than a hundred times as long
(`python -m benchmarks bookkeeping`).
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as db
from dagster import DagsterEventType, DagsterInstance, EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import _event_logs_directory
from dagster._serdes import ConfigurableClassData

from feature_backfill.dagster_internals.listed_hours import only_hours
from feature_backfill.dagster_internals.partitioned_entries import PartitionedEntry, partitioned, planned_subset
from feature_backfill.hours import partition_keys

BATCH_SIZE = 1000

_BULK_TYPES = {
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
}


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's default event log, same files and records, that writes many asset events in two transactions.

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
        # Dagster hands events over in batches only if this variable is set. Every process that opens the instance
        # (webserver, daemon, run) passes through here before it writes its first event.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))
        instance_dir = os.path.expanduser(config_value["base_dir"])  # Dagster takes a DAGSTER_HOME with ~ too
        return cls(_event_logs_directory(instance_dir), inst_data=inst_data)

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """True: Dagster plans a range in one event. The log still gets one for each of its partitions."""
        return True

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event; one that plans a range becomes the events of its partitions."""
        if planned_subset(event) is None:
            super().store_event(event)
        else:
            self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in order: neighbouring asset events of a run together, all others one by one as Dagster does."""
        for run_id, neighbours in groupby(events, key=_run_of_asset_event):
            if run_id is None:
                super().store_event_batch(list(neighbours))
            else:
                self.store_entries(run_id, [entry for event in neighbours if (entry := self._entry(event)).partitions])

    def _entry(self, event: EventLogEntry) -> PartitionedEntry:
        """An asset event with its partitions. Of a range that is planned, those that the run lists, if it lists any."""
        entry = partitioned(event)
        if planned_subset(event) is None or not self.has_instance:
            return entry
        run = self._instance.get_run_by_id(event.run_id)
        listed = None if run is None else only_hours(run.tags)
        return entry if listed is None else entry.among(set(partition_keys(listed)))

    def store_entries(self, run_id: str, entries: Sequence[PartitionedEntry]) -> None:
        """Store asset events of one run, in order: each entry once for each of its partitions, of which it has some."""
        insertions = list(self._insertions(entries))
        if not insertions:
            return
        with self.run_connection(run_id) as conn:
            for statement, rows in insertions:
                conn.execute(statement, rows)
        with self.index_transaction() as conn:
            for statement, rows in insertions:
                conn.execute(statement, rows)
            self._note_assets(conn, entries)

    def _note_assets(self, conn: db.Connection, entries: Sequence[PartitionedEntry]) -> None:
        """Right after their insertion into the index: keep the tags of entries, and each asset's newest events."""
        # The transaction has the database to itself, so SQLite has numbered its rows consecutively.
        end = conn.scalars(db.select(db.func.last_insert_rowid())).one() + 1
        start = end - sum(len(entry.partitions) for entry in entries)
        newest: dict[Any, tuple[int, PartitionedEntry]] = {}
        for entry in entries:
            ids = range(start, start := start + len(entry.partitions))
            if entry.first.tags:
                self._store_asset_event_tags(conn, [entry.first] * len(ids), ids)
            event = entry.first.get_dagster_event()
            newest.pop((event.asset_key, event.event_type_value), None)
            newest[event.asset_key, event.event_type_value] = ids[-1], entry
        # An asset's row among the asset keys is made from its last event of each type.
        for event_id, entry in newest.values():
            self._store_asset_event(conn, entry.last, event_id)

    def _insertions(
        self, entries: Sequence[PartitionedEntry]
    ) -> Iterator[tuple[db.Insert, list[dict[str, Any]] | None]]:
        """Statements, with rows if they take any, that insert the rows of the entries in order."""
        table = SqlEventLogStorageTable
        for has_many, neighbours in groupby(entries, key=lambda entry: len(entry.partitions) > 1):
            if has_many:
                for entry in neighbours:
                    copying = self._copying(entry)
                    yield (table.insert(), self._rows(entry)) if copying is None else (copying, None)
            else:
                yield table.insert(), [row for entry in neighbours for row in self._rows(entry)]

    def _rows(self, entry: PartitionedEntry) -> list[dict[str, Any]]:
        return [self._event_to_row(event) for event in entry.one_by_one()]

    def _copying(self, entry: PartitionedEntry) -> db.Insert | None:
        """One statement that writes the rows of all partitions; None if they differ in more than the partition.

        The text of the event is cut at the first partition's key; SQLite puts each key of a JSON array in its place.
        Serializing each event instead takes three times as long.
        """
        row, last_row = self._event_to_row(entry.first), self._event_to_row(entry.last)
        head, partition, tail = row["event"].partition(json.dumps(entry.partitions[0]))
        last_partition = entry.partitions[-1]
        expected = {**row, "event": f"{head}{json.dumps(last_partition)}{tail}", "partition": last_partition}
        if not partition or expected != last_row:  # this also catches a Dagster that derives more from the partition
            return None
        texts = json.dumps([[key, json.dumps(key)] for key in entry.partitions])
        each = db.func.json_each(texts).table_valued("value").c.value
        key, text = db.func.json_extract(each, "$[0]"), db.func.json_extract(each, "$[1]")
        cells: dict[str, db.ColumnElement[Any]] = {
            name: db.literal(cell, SqlEventLogStorageTable.c[name].type) for name, cell in row.items()
        }
        cells |= {"event": db.literal(head, db.Text).concat(text).concat(db.literal(tail, db.Text)), "partition": key}
        return SqlEventLogStorageTable.insert().from_select(list(cells), db.select(*cells.values()))


def can_list_hours(instance: DagsterInstance) -> bool:
    """Whether runs of an instance can list the hours of their range that they are about."""
    return isinstance(instance.event_log_storage, BatchedSqliteEventLogStorage)


def _run_of_asset_event(event: EventLogEntry) -> str | None:
    """The run id of an event that is written in bulk, None for any other."""
    return event.run_id if event.is_dagster_event and event.dagster_event_type in _BULK_TYPES else None
