"""Asset events of many partitions in an event log: a row for each partition, one line in the log of the run.

What asks about an asset (its partitions, backfills, sensors, the tab *Events*) finds the event of each partition in the
index, as ever. The log of a run, which its page loads whole, has one line for all of them.

Rests on these facts of Dagster 1.13.27 (with SQLAlchemy 2), none of them public:

* the table `SqlEventLogStorageTable`, and `_event_to_row`, which makes a row of it from an entry;
* `_store_asset_event`, which keeps an asset's row among the asset keys, from its newest event of each type;
* events come in batches if `DAGSTER_EVENT_BATCH_SIZE` is set, and go to `store_event_batch`;
* a range is planned in one event if the storage says that it supports this;
* Dagster's pages show events of materializations that were skipped, `fetch_failed_materializations`, but no storage of
  its own keeps any.

The rows of the index differ from those of Dagster's own storages in three ways. The JSON of an event lacks what follows
from defaults, and what the line in the log says once: message, process, handles of the step. The column `step_key` is
empty, since nothing asks the index for it. Tags of a version stand in the event alone and not in the table of tags,
where they would take more room than the event.
"""

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from itertools import groupby
from typing import Any

import sqlalchemy as db
from dagster import AssetKey, AssetRecordsFilter, DagsterEventType, DagsterInstance, EventLogEntry, EventRecordsFilter
from dagster._core.event_api import EventRecordsResult
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from feature_backfill.dagster_internals.listed_hours import only_hours
from feature_backfill.dagster_internals.partitioned_entries import PartitionedEntry, bare, partitioned, planned_subset
from feature_backfill.hours import partition_keys

BATCH_SIZE = 1000
"""How many events Dagster hands over at once, and how many rows a statement inserts."""

BULK_TYPES = {
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.ASSET_FAILED_TO_MATERIALIZE,
}

Row = dict[str, Any]


class EventsInBulk(SqlEventLogStorage):
    """What the batched event logs have in common, on SQLite and on PostgreSQL."""

    @staticmethod
    def switch_batches_on() -> None:
        """Dagster hands events over in batches only if this variable is set.

        Every process that opens the instance (webserver, daemon, run) opens the storage before it writes an event.
        """
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))

    @abstractmethod
    def log_transaction(self, run_id: str) -> AbstractContextManager[db.Connection]:
        """A connection to the log of a run, in a transaction."""

    @abstractmethod
    def rows_transaction(self) -> AbstractContextManager[db.Connection]:
        """A connection to the index, in a transaction during which no other one adds events."""

    @abstractmethod
    def log_line(self, event: EventLogEntry) -> Row:
        """The row of the log of a run for an event that the index has partition by partition."""

    @abstractmethod
    def store_each(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        """Store asset events of one run as Dagster does, all of them in one go."""

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """True: Dagster plans a range in one event. The index gets one for each of its partitions."""
        return True

    @property
    def can_store_asset_failure_events(self) -> bool:
        """True: a skipped hour is recorded as such, with its reason."""
        return True

    def fetch_failed_materializations(
        self,
        records_filter: AssetKey | AssetRecordsFilter,
        limit: int,
        cursor: str | None = None,
        ascending: bool = False,
    ) -> EventRecordsResult:
        """The events of failed and of skipped materializations, as fetch_observations gives those of observations."""
        if isinstance(records_filter, AssetKey):
            records_filter = AssetRecordsFilter(asset_key=records_filter)
        wanted: EventRecordsFilter = records_filter.to_event_records_filter(
            DagsterEventType.ASSET_FAILED_TO_MATERIALIZE,
            cursor,
            ascending,
        )
        return self._get_event_records_result(wanted, limit, cursor, ascending)

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event; the index has one that plans a range partition by partition."""
        if planned_subset(event) is None:
            super().store_event(event)
        else:
            self.store_entries(event.run_id, [self._planned(event)])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in order: neighbouring asset events of a run together, all others one by one as Dagster does."""
        for run_id, neighbours in groupby(events, key=_run_of_asset_event):
            some = list(neighbours)
            if run_id is None:
                super().store_event_batch(some)
                continue
            for has_subset, alike in groupby(some, key=lambda event: planned_subset(event) is not None):
                if has_subset:
                    self.store_entries(run_id, [self._planned(event) for event in alike])
                else:
                    self.store_each(run_id, list(alike))

    def store_entries(self, run_id: str, entries: Sequence[PartitionedEntry]) -> None:
        """Store asset events of one run, in order: a line of its log for each entry, a row for each partition."""
        entries = [entry for entry in entries if entry.partitions]
        if not entries:
            return
        with self.log_transaction(run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), [self.log_line(entry.line) for entry in entries])
        with self.rows_transaction() as connection:
            for entry in entries:
                insert_rows(connection, self._rows(entry))
            self._note_assets(connection, entries)

    def _planned(self, event: EventLogEntry) -> PartitionedEntry:
        """The event that plans a range with its partitions: those that the run lists, if it lists any."""
        entry = partitioned(event)
        run = self._instance.get_run_by_id(event.run_id) if self.has_instance else None
        listed = None if run is None else only_hours(run.tags)
        return entry if listed is None else entry.among(set(partition_keys(listed)))

    def _rows(self, entry: PartitionedEntry) -> Iterator[Row]:
        row = self._event_to_row(entry.entry) | {"step_key": None}
        start, first = row["timestamp"], entry.entry.timestamp
        for at, (partition, text) in enumerate(zip(entry.partitions, entry.texts(bare), strict=True)):
            moment = start + timedelta(seconds=entry.time(at) - first)
            yield row | {"partition": partition, "event": text, "timestamp": moment}

    def note_each(self, connection: db.Connection, events: Sequence[EventLogEntry], ids: Sequence[int]) -> None:
        """Right after the insertion of asset events into the index: store what else Dagster would, by their ids."""
        self._store_asset_event_tags(connection, events, ids)
        newest = {
            (event.get_dagster_event().asset_key, event.dagster_event_type): at for at, event in enumerate(events)
        }
        for at in newest.values():
            self._store_asset_event(connection, events[at], ids[at])

    def _note_assets(self, connection: db.Connection, entries: Sequence[PartitionedEntry]) -> None:
        """Right after their insertion into the index: make each asset's row from its newest event of each type."""
        newest = {
            (event.asset_key, event.event_type_value): entry for entry in entries if (event := entry.dagster_event)
        }
        columns = SqlEventLogStorageTable.c
        for (asset, event_type), entry in newest.items():
            of_entry = db.select(db.func.max(columns.id)).where(
                columns.asset_key == asset.to_string() if asset else db.false(),
                columns.dagster_event_type == event_type,
                columns.run_id == entry.entry.run_id,
            )
            self._store_asset_event(connection, entry.last, connection.scalars(of_entry).one())


def insert_rows(connection: db.Connection, rows: Iterator[Row]) -> None:
    """Insert rows into the table of events, in order."""
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_SIZE:
            connection.execute(SqlEventLogStorageTable.insert(), batch)
            batch = []
    if batch:
        connection.execute(SqlEventLogStorageTable.insert(), batch)


def records_in_bulk(instance: DagsterInstance) -> bool:
    """Whether an instance records hours in bulk. Its runs can then list those of their range that they are about."""
    return isinstance(instance.event_log_storage, EventsInBulk)


def _run_of_asset_event(event: EventLogEntry) -> str | None:
    """The run id of an event that is written in bulk, None for any other."""
    return event.run_id if event.is_dagster_event and event.dagster_event_type in BULK_TYPES else None
