"""Dagster's bookkeeping of many hours at once: the event log on SQLite in bulk, and the reports that feed it.

Dagster's own SQLite event log writes each event of each hour in transactions of its own. What is here leaves the same
records, thousands a transaction: what is said of many hours alike is made once, and SQLite copies it for each of them.
Proved with Dagster 1.13.27 (SQLAlchemy 2.1); what of Dagster's bookkeeping is not public API and the project leans on
is in this file and in partition_wipe.
"""

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple
from uuid import uuid4

import sqlalchemy as db
from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    AssetObservation,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    EventLogEntry,
    MaterializeResult,
)
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.errors import DagsterInvalidPropertyError
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEventBatchMetadata,
    StepMaterializationData,
)
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import _event_logs_directory
from dagster._serdes import ConfigurableClassData

BATCH_SIZE = 1000

Told = tuple[AssetMaterialization | AssetObservation, Sequence[str]]
"""What is said of hours: an event without a partition, and the partition keys that it holds for."""

_BULK_TYPES = {
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
}


class _Entry(NamedTuple):
    """A log entry of some partitions: the entry of the first, and all their keys (None: of no partition)."""

    first: EventLogEntry
    partitions: Sequence[str | None]

    @property
    def last(self) -> EventLogEntry:
        return _of_partition(self.first, self.partitions[-1])


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
        # Dagster hands events over in batches only when the environment says so. Every process that opens the
        # instance (webserver, daemon, run) comes by here before it writes its first event.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))
        instance_dir = os.path.expanduser(config_value["base_dir"])  # Dagster takes a DAGSTER_HOME with ~ too
        return cls(_event_logs_directory(instance_dir), inst_data=inst_data)

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """True: Dagster plans a range in one event, of which the log gets one for each partition all the same."""
        return True

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event; one that plans a range as the events of its partitions."""
        if _planned_subset(event) is None:
            super().store_event(event)
        else:
            self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in order: asset events of one run together, anything else one by one as Dagster does."""
        for run_id, neighbours in groupby(events, key=_bulk_run_id):
            if run_id is None:
                super().store_event_batch(list(neighbours))
            else:
                self.store_entries(run_id, [entry for event in neighbours if (entry := _entry(event)).partitions])

    def store_entries(self, run_id: str, entries: Sequence[_Entry]) -> None:
        """Store asset events of one run, in order: what each entry says of each of its partitions."""
        statements = list(self._insertions(entries))
        if not statements:
            return
        with self.run_connection(run_id) as conn:  # each run has a database of its own, the index spans all runs
            for statement, rows in statements:
                conn.execute(statement, rows)
        with self.index_transaction() as conn:
            for statement, rows in statements:
                conn.execute(statement, rows)
            # The transaction has the database to itself, so SQLite has numbered its rows one after another.
            end = conn.scalars(db.select(db.func.last_insert_rowid())).one() + 1
            start = end - sum(len(entry.partitions) for entry in entries)
            newest: dict[Any, tuple[int, _Entry]] = {}
            for entry in entries:
                ids = range(start, start := start + len(entry.partitions))
                if entry.first.tags:
                    self._store_asset_event_tags(conn, [entry.first] * len(ids), ids)
                event = entry.first.get_dagster_event()
                newest.pop((event.asset_key, event.event_type_value), None)
                newest[event.asset_key, event.event_type_value] = ids[-1], entry
            # An asset's row among the asset keys is that of the last event of each asset and type.
            for event_id, entry in newest.values():
                self._store_asset_event(conn, entry.last, event_id)

    def _insertions(self, entries: Sequence[_Entry]) -> Iterator[tuple[db.Insert, list[dict[str, Any]] | None]]:
        """Statements, with the rows where it takes any, that write the rows of the entries in order."""
        table = SqlEventLogStorageTable
        for spread, neighbours in groupby(entries, key=lambda entry: len(entry.partitions) > 1):
            if spread:
                for entry in neighbours:
                    insertion = self._spread(entry)
                    yield (table.insert(), self._rows(entry)) if insertion is None else (insertion, None)
            else:
                yield table.insert(), [row for entry in neighbours for row in self._rows(entry)]

    def _rows(self, entry: _Entry) -> list[dict[str, Any]]:
        return [self._event_to_row(_of_partition(entry.first, partition)) for partition in entry.partitions]

    def _spread(self, entry: _Entry) -> db.Insert | None:
        """One statement for all partitions of an entry, None where their rows differ in more than the partition."""
        row, last_row = self._event_to_row(entry.first), self._event_to_row(entry.last)
        head, partition, tail = row["event"].partition(json.dumps(entry.partitions[0]))
        last_partition = entry.partitions[-1]
        foretold = {**row, "event": f"{head}{json.dumps(last_partition)}{tail}", "partition": last_partition}
        if not partition or foretold != last_row:  # also a Dagster that derives more from the partition than we know
            return None
        texts = json.dumps([[key, json.dumps(key)] for key in entry.partitions])
        each = db.func.json_each(texts).table_valued("value").c.value
        key, text = db.func.json_extract(each, "$[0]"), db.func.json_extract(each, "$[1]")
        cells: dict[str, db.ColumnElement[Any]] = {
            name: db.literal(cell, SqlEventLogStorageTable.c[name].type) for name, cell in row.items()
        }
        cells |= {"event": db.literal(head, db.Text).concat(text).concat(db.literal(tail, db.Text)), "partition": key}
        return SqlEventLogStorageTable.insert().from_select(list(cells), db.select(*cells.values()))


def _bulk_run_id(event: EventLogEntry) -> str | None:
    return event.run_id if event.is_dagster_event and event.dagster_event_type in _BULK_TYPES else None


def _planned_subset(event: EventLogEntry) -> Any:
    """The partitions that an event plans as one; None if it plans none, or one."""
    data = event.dagster_event.event_specific_data if event.dagster_event else None
    return data.partitions_subset if isinstance(data, AssetMaterializationPlannedData) else None


def _entry(event: EventLogEntry) -> _Entry:
    subset = _planned_subset(event)
    if subset is None:
        return _Entry(event, [event.get_dagster_event().partition])
    keys = list(subset.get_partition_keys())
    return _Entry(_of_partition(event, keys[0]) if keys else event, keys)


def _of_partition(entry: EventLogEntry, partition: str | None) -> EventLogEntry:
    """The entry of an asset event as it reads for another partition."""
    event = entry.get_dagster_event()
    if event.partition == partition:
        return entry
    data: Any = event.event_specific_data
    match data:
        case StepMaterializationData(materialization=told):
            data = data._replace(materialization=told._replace(partition=partition))
        case AssetObservationData(asset_observation=told):
            data = data._replace(asset_observation=told._replace(partition=partition))
        case AssetMaterializationPlannedData():
            data = data._replace(partition=partition, partitions_subset=None)
    return entry._replace(dagster_event=event._replace(event_specific_data=data))


def report_hours(context: AssetExecutionContext, told: Sequence[Told]) -> None:
    """What `context.log_event` would report of each partition in turn, in bulk where the instance's event log can.

    For the body of an asset that reports its hours itself: a materialization where an hour is done, an observation with
    the reason where it is skipped. Loggers do not hear of them one by one: they cost more than the records.
    """
    try:
        step = context.get_step_execution_context()
    except DagsterInvalidPropertyError:  # the asset is called as a function, without a run
        for event, partitions in told:
            for partition in partitions:
                context.log_event(event._replace(partition=partition))
        return
    told = [(event, partitions) for event, partitions in told if partitions]
    heard: Any = _HeardStep(step.run_id, step.job_name, step.step, step.event_tags, [])
    for event, partitions in told:
        if isinstance(event, AssetMaterialization):
            DagsterEvent.asset_materialization(heard, event._replace(partition=partitions[0]))
        else:
            DagsterEvent.asset_observation(heard, event._replace(partition=partitions[0]))
    entries = [_Entry(first, partitions) for first, (_, partitions) in zip(heard.entries, told, strict=True)]
    _store(context.instance, step.run_id, entries)
    context.op_execution_context._events.extend(entry.get_dagster_event() for entry in _one_by_one(entries))


def reported_already() -> MaterializeResult[None]:
    """The result of an asset that called report_hours: Dagster reports nothing more, and steps downstream go on."""
    return MaterializeResult(metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def report_runless(instance: DagsterInstance, told: Sequence[tuple[AssetMaterialization, Sequence[str]]]) -> None:
    """What `instance.report_runless_asset_event` would report of each partition in turn, in bulk likewise.

    For an external asset whose hours somebody else fills.
    """
    entries = []
    for event, partitions in told:
        if partitions:
            dagster_event = DagsterEvent(
                event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
                event_specific_data=StepMaterializationData(event._replace(partition=partitions[0])),
                job_name=RUNLESS_JOB_NAME,
            )
            first = _log_entry(RUNLESS_RUN_ID, RUNLESS_JOB_NAME, None, logging.INFO, "", dagster_event)
            entries.append(_Entry(first, partitions))
    _store(instance, RUNLESS_RUN_ID, entries)


@dataclass(frozen=True)
class _HeardStep:
    """All that Dagster needs of a step to make its events, with a log that keeps their entries."""

    run_id: str
    job_name: str
    step: ExecutionStep
    event_tags: Mapping[str, str]
    entries: list[EventLogEntry]

    @property
    def log(self) -> "_HeardStep":
        return self

    def log_dagster_event(
        self, level: int, msg: str, dagster_event: DagsterEvent, batch_metadata: DagsterEventBatchMetadata | None
    ) -> None:
        self.entries.append(_log_entry(self.run_id, self.job_name, self.step.key, level, msg, dagster_event))


def _log_entry(
    run_id: str, job_name: str, step_key: str | None, level: int, message: str, dagster_event: DagsterEvent
) -> EventLogEntry:
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=level,
        user_message=message,
        run_id=run_id,
        timestamp=time.time(),
        step_key=step_key,
        job_name=job_name,
        dagster_event=dagster_event,
    )


def _store(instance: DagsterInstance, run_id: str, entries: Sequence[_Entry]) -> None:
    storage = instance.event_log_storage
    if isinstance(storage, BatchedSqliteEventLogStorage):
        storage.store_entries(run_id, entries)
        return
    events = list(_one_by_one(entries))
    batch_id = str(uuid4())
    for number, event in enumerate(events, start=1):
        instance.handle_new_event(event, batch_metadata=DagsterEventBatchMetadata(batch_id, number == len(events)))


def _one_by_one(entries: Sequence[_Entry]) -> Iterator[EventLogEntry]:
    for entry in entries:
        for partition in entry.partitions:
            yield _of_partition(entry.first, partition)
