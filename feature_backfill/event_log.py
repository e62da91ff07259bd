"""Dagster's bookkeeping of many hours at once: the event log on SQLite in batches, and the reports that feed it.

Dagster's own SQLite event log writes each event of each hour in transactions of its own. What is here writes the same
records a thousand at a time. Proved with Dagster 1.13.27 (SQLAlchemy 2.1); everything of Dagster's that is not public
API and that the project leans on is in this file.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar
from uuid import uuid4

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
from dagster._core.events import DagsterEventBatchMetadata, StepMaterializationData
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
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_id) as conn:  # each run has a database of its own, the index spans all runs
            conn.execute(table.insert(), rows)
        with self.index_transaction() as conn:
            event_ids = conn.scalars(table.insert().returning(table.c.id, sort_by_parameter_order=True), rows).all()
            self._store_asset_event_tags(conn, events, event_ids)
            for event_id, event in _last_of_each_kind(event_ids, events):
                self._store_asset_event(conn, event, event_id)


def _batchable_run_id(event: EventLogEntry) -> str | None:
    return event.run_id if event.is_dagster_event and event.dagster_event_type in _BATCHED_TYPES else None


def _last_of_each_kind(
    event_ids: Sequence[int], events: Sequence[EventLogEntry]
) -> Iterable[tuple[int, EventLogEntry]]:
    """The events that decide an asset's row among the asset keys: of each asset and event type the last, in order."""
    last = {
        (event.get_dagster_event().asset_key, event.dagster_event_type): (event_id, event)
        for event_id, event in zip(event_ids, events, strict=True)
    }
    return sorted(last.values(), key=lambda numbered: numbered[0])


def report_hours(
    context: AssetExecutionContext,
    materializations: Sequence[AssetMaterialization],
    observations: Sequence[AssetObservation],
) -> None:
    """What `context.log_event` would report for each event in turn, in batches where the instance writes batches.

    For the body of an asset whose run leaves hours out: a materialization per computed hour, an observation with the
    reason per skipped hour.
    """
    try:
        step = context.get_step_execution_context()
    except DagsterInvalidPropertyError:  # the asset is called as a function, without a run
        for event in (*materializations, *observations):
            context.log_event(event)
        return
    logged = context.op_execution_context._events
    for materialization, batch in _in_one_batch(materializations):
        logged.append(DagsterEvent.asset_materialization(step, materialization, batch))
    for observation, batch in _in_one_batch(observations):
        logged.append(DagsterEvent.asset_observation(step, observation, batch))


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
