"""Reporting many hours of an asset at once.

There are two public ways. A `MaterializeResult` reports every hour of the range alike, so it cannot leave out hours
that are skipped, and it makes an event for each hour in Python: on the shipped event log it takes ten times as long as
`report_hours` (`python -m benchmarks bookkeeping`). `context.log_event` stores each event in transactions of its own,
which takes as long as Dagster's own event log.

Rests on these facts of Dagster 1.13.27, none of them public:

* `DagsterEvent.asset_materialization` and `asset_observation` make an event from a step, of which they read the fields
  of `_RecordingStep`, and hand it to the step's log;
* an op's context collects in `_events` what its body has logged, and the result of an in-process run reads it there;
* an output whose metadata carries the mark of a source asset's observation is not reported as a materialization;
* events of no run have an empty run id and the job name `RUNLESS_JOB_NAME`.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

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
from dagster._core.events import DagsterEventBatchMetadata, StepMaterializationData
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

from feature_backfill.dagster_internals.event_log_storage import BatchedSqliteEventLogStorage
from feature_backfill.dagster_internals.partitioned_entries import PartitionedEntry

EventOfHours = tuple[AssetMaterialization | AssetObservation, Sequence[str]]
"""An event without a partition, and the partition keys of the hours that it is reported for."""


def report_hours(context: AssetExecutionContext, events: Sequence[EventOfHours]) -> None:
    """Report what `context.log_event` would, one partition after another, in bulk if the instance's event log can.

    For the body of an asset that reports its hours itself: a materialization for an hour that is done, an observation
    with the reason for one that is skipped. Loggers do not get a line for each hour: that costs more than the records.
    """
    try:
        step = context.get_step_execution_context()
    except DagsterInvalidPropertyError:  # the asset is called as a function, without a run
        for event, partitions in events:
            for partition in partitions:
                context.log_event(event._replace(partition=partition))
        return
    entries = [
        PartitionedEntry(_step_entry(step, event._replace(partition=partitions[0])), partitions)
        for event, partitions in events
        if partitions
    ]
    _store(context.instance, step.run_id, entries)
    context.op_execution_context._events.extend(
        entry.get_dagster_event() for of_hours in entries for entry in of_hours.one_by_one()
    )


def reported_already() -> MaterializeResult[None]:
    """The result of an asset that called report_hours: Dagster reports nothing more, and steps downstream go on."""
    return MaterializeResult(metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def report_runless(instance: DagsterInstance, events: Sequence[tuple[AssetMaterialization, Sequence[str]]]) -> None:
    """Report what `instance.report_runless_asset_event` would, one partition after another, in bulk likewise.

    For an external asset, whose hours are filled from outside Dagster.
    """
    entries = []
    for event, partitions in events:
        if partitions:
            dagster_event = DagsterEvent(
                event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
                event_specific_data=StepMaterializationData(event._replace(partition=partitions[0])),
                job_name=RUNLESS_JOB_NAME,
            )
            first = _log_entry(RUNLESS_RUN_ID, RUNLESS_JOB_NAME, None, logging.INFO, "", dagster_event)
            entries.append(PartitionedEntry(first, partitions))
    _store(instance, RUNLESS_RUN_ID, entries)


@dataclass(frozen=True)
class _RecordingStep:
    """All that Dagster reads of a step to make its events, with a log that keeps their entries."""

    run_id: str
    job_name: str
    step: ExecutionStep
    event_tags: Mapping[str, str]
    entries: list[EventLogEntry]

    @property
    def log(self) -> "_RecordingStep":
        return self

    def log_dagster_event(
        self, level: int, msg: str, dagster_event: DagsterEvent, batch_metadata: DagsterEventBatchMetadata | None
    ) -> None:
        self.entries.append(_log_entry(self.run_id, self.job_name, self.step.key, level, msg, dagster_event))


def _step_entry(context: StepExecutionContext, event: AssetMaterialization | AssetObservation) -> EventLogEntry:
    """The entry that Dagster would log for an event of a step."""
    step: Any = _RecordingStep(context.run_id, context.job_name, context.step, context.event_tags, [])
    if isinstance(event, AssetMaterialization):
        DagsterEvent.asset_materialization(step, event)
    else:
        DagsterEvent.asset_observation(step, event)
    (entry,) = step.entries
    return entry


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


def _store(instance: DagsterInstance, run_id: str, entries: Sequence[PartitionedEntry]) -> None:
    storage = instance.event_log_storage
    if isinstance(storage, BatchedSqliteEventLogStorage):
        storage.store_entries(run_id, entries)
        return
    events = [entry for of_hours in entries for entry in of_hours.one_by_one()]
    batch_id = str(uuid4())
    for number, event in enumerate(events, start=1):
        instance.handle_new_event(event, batch_metadata=DagsterEventBatchMetadata(batch_id, number == len(events)))
