"""Dagster's bookkeeping of many hours at once: the event log on SQLite in batches, and the reports that feed it.

Dagster's own SQLite event log writes each event of each hour in transactions of its own. What is here writes the same
records a thousand at a time. Proved with Dagster 1.13.27 (SQLAlchemy 2.1); everything of Dagster's that is not public
API and that the project leans on is in this file.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar
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
)
from dagster._core.errors import DagsterInvalidPropertyError
from dagster._core.events import AssetObservationData, DagsterEventBatchMetadata, StepMaterializationData
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import _event_logs_directory
from dagster._serdes import ConfigurableClassData

BATCH_SIZE = 1000

Event = TypeVar("Event")

_BATCHED_TYPES = {
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
}


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's default event log, same files and records, that writes a batch of asset events in two transactions.

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

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in order: asset events of one run together, anything else one by one as Dagster does."""
        for run_id, neighbours in groupby(events, key=_batchable_run_id):
            if run_id is None:
                super().store_event_batch(list(neighbours))
            else:
                self._store_asset_events(run_id, list(neighbours))

    def _store_asset_events(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        table = SqlEventLogStorageTable
        rows = self._event_rows(events)
        with self.run_connection(run_id) as conn:  # each run has a database of its own, the index spans all runs
            conn.execute(table.insert(), rows)
        with self.index_transaction() as conn:
            conn.execute(table.insert(), rows)
            # The transaction has the database to itself, so SQLite has numbered its rows one after another.
            last_id = conn.scalars(db.select(db.func.last_insert_rowid())).one()
            numbered = list(zip(range(last_id - len(events) + 1, last_id + 1), events, strict=True))
            tagged = [(event_id, event) for event_id, event in numbered if event.tags]
            self._store_asset_event_tags(conn, [event for _, event in tagged], [event_id for event_id, _ in tagged])
            # An asset's row among the asset keys is that of the last event of each asset and type.
            keys = [(row["asset_key"], row["dagster_event_type"]) for row in rows]
            for event_id, event in sorted(dict(zip(keys, numbered, strict=True)).values(), key=itemgetter(0)):
                self._store_asset_event(conn, event, event_id)

    def _event_rows(self, events: Sequence[EventLogEntry]) -> list[dict[str, Any]]:
        """Dagster's row of each event, made once for all events that differ in nothing but partition and timestamp."""
        rows: list[dict[str, Any]] = []
        templates: dict[str, tuple[dict[str, Any], list[str]]] = {}
        for event in events:
            partition, shape = _partition_apart(event)
            varying = json.dumps(partition), json.dumps(event.timestamp)
            if shape in templates:
                row, (head, middle, tail) = templates[shape]
                text = f"{head}{varying[0]}{middle}{varying[1]}{tail}"
                timestamp = self._event_insert_timestamp(event)  # type: ignore[no-untyped-call]
                rows.append({**row, "event": text, "timestamp": timestamp, "partition": partition or None})
            else:
                rows.append(self._event_to_row(event))
                parts = _split_in_turn(rows[-1]["event"], varying)
                if partition and len(parts) == 3:
                    templates[shape] = rows[-1], parts
        if rows[-1] != self._event_to_row(events[-1]):  # a Dagster that derives more from the two than we know
            return [self._event_to_row(event) for event in events]
        return rows


def _batchable_run_id(event: EventLogEntry) -> str | None:
    return event.run_id if event.is_dagster_event and event.dagster_event_type in _BATCHED_TYPES else None


def _partition_apart(event: EventLogEntry) -> tuple[str | None, str]:
    """The partition of an asset event, and all that it says but for partition and timestamp."""
    dagster_event = event.get_dagster_event()
    data: Any = dagster_event.event_specific_data
    rest: Any
    match data:
        case StepMaterializationData(materialization=told):
            rest = data._replace(materialization=told._replace(partition=None))
        case AssetObservationData(asset_observation=told):
            rest = data._replace(asset_observation=told._replace(partition=None))
        case told:  # planned
            rest = told._replace(partition=None)
    shape = event._replace(timestamp=0.0, dagster_event=dagster_event._replace(event_specific_data=rest))
    return told.partition, repr(shape)  # equal values may serialize differently (1, 1.0, True), but not with equal repr


def _split_in_turn(text: str, separators: Sequence[str]) -> list[str]:
    """The text around the separators, one part more than they are if each is there once, in their order."""
    parts = [text]
    for separator in separators:
        parts[-1:] = parts[-1].split(separator)
    return parts


def report_hours(
    context: AssetExecutionContext,
    materializations: Sequence[AssetMaterialization],
    observations: Sequence[AssetObservation],
) -> None:
    """What `context.log_event` would report for each event in turn, in batches where the instance writes batches.

    For the body of an asset whose run leaves hours out: a materialization per computed hour, an observation with the
    reason per skipped hour. Loggers and log handlers do not hear of them one by one: they cost more than the records.
    """
    try:
        step = context.get_step_execution_context()
    except DagsterInvalidPropertyError:  # the asset is called as a function, without a run
        for event in (*materializations, *observations):
            context.log_event(event)
        return
    unlogged: Any = _UnloggedStep(context.instance, step.run_id, step.job_name, step.step, step.event_tags)
    reported = context.op_execution_context._events
    for materialization, batch in _in_one_batch(materializations):
        reported.append(DagsterEvent.asset_materialization(unlogged, materialization, batch))
    for observation, batch in _in_one_batch(observations):
        reported.append(DagsterEvent.asset_observation(unlogged, observation, batch))


@dataclass(frozen=True)
class _UnloggedStep:
    """All that Dagster needs of a step to make its events, with a log that leads straight into the event log."""

    instance: DagsterInstance
    run_id: str
    job_name: str
    step: ExecutionStep
    event_tags: Mapping[str, str]

    @property
    def log(self) -> "_UnloggedStep":
        return self

    def log_dagster_event(
        self, level: int, msg: str, dagster_event: DagsterEvent, batch_metadata: DagsterEventBatchMetadata | None
    ) -> None:
        entry = EventLogEntry(  # type: ignore[no-untyped-call]
            error_info=None,
            level=level,
            user_message=msg,
            run_id=self.run_id,
            timestamp=time.time(),
            step_key=self.step.key,
            job_name=self.job_name,
            dagster_event=dagster_event,
        )
        self.instance.handle_new_event(entry, batch_metadata=batch_metadata)


def report_runless(instance: DagsterInstance, materializations: Sequence[AssetMaterialization]) -> None:
    """What `instance.report_runless_asset_event` would report for each in turn, in batches likewise.

    For an external asset whose hours somebody else fills.
    """
    for materialization, batch in _in_one_batch(materializations):
        event = DagsterEvent(
            event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
            event_specific_data=StepMaterializationData(materialization),
            job_name=RUNLESS_JOB_NAME,
        )
        instance.report_dagster_event(event, run_id=RUNLESS_RUN_ID, batch_metadata=batch)


def _in_one_batch(events: Sequence[Event]) -> Iterator[tuple[Event, DagsterEventBatchMetadata]]:
    batch_id = str(uuid4())
    for number, event in enumerate(events, start=1):
        yield event, DagsterEventBatchMetadata(batch_id, is_end=number == len(events))
