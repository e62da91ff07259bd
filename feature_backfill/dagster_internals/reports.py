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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    EventLogEntry,
    MaterializeResult,
    OpExecutionContext,
)
from dagster._core.definitions.events import (
    AssetMaterializationFailure,
    AssetMaterializationFailureReason,
    AssetMaterializationFailureType,
)
from dagster._core.definitions.metadata import normalize_metadata
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.errors import DagsterInvalidPropertyError
from dagster._core.events import AssetObservationData, DagsterEventBatchMetadata, StepMaterializationData
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

from feature_backfill.dagster_internals.bulk_events import EventsInBulk, records_in_bulk
from feature_backfill.dagster_internals.partitioned_entries import (
    APART_S,
    AssetEvent,
    PartitionedEntry,
    of_partition,
    values_at,
)

StepContext = AssetExecutionContext | OpExecutionContext
"""The context of a step that reports hours of assets: that of an asset, or that of an op."""


@dataclass(frozen=True)
class EventOfHours:
    """One event of many hours.

    event: without a partition. partitions: keys of the hours, ascending. numbers, tags: values of metadata and of tags
    that differ hour by hour, by name.
    """

    event: AssetEvent
    partitions: Sequence[str]
    numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def one_by_one(self) -> Iterator[AssetEvent]:
        """The event of each hour."""
        for at, partition in enumerate(self.partitions):
            metadata = {**self.event.metadata, **values_at(self.numbers, at)}
            tags = {**(self.event.tags or {}), **values_at(self.tags, at)}
            yield of_partition(self.event, partition, metadata, tags)

    def apart_from_last(self) -> tuple["EventOfHours", "EventOfHours"]:
        """The event of all hours but the last, and that of the last."""
        return self._among(slice(None, -1)), self._among(slice(-1, None))

    def _among(self, some: slice) -> "EventOfHours":
        numbers = {name: values[some] for name, values in self.numbers.items()}
        tags = {name: values[some] for name, values in self.tags.items()}
        return EventOfHours(self.event, self.partitions[some], numbers, tags)


def skipped(asset: AssetKey, metadata: Mapping[str, Any]) -> AssetMaterializationFailure:
    """The event of an hour that is left out for a good reason. Dagster's pages call it skipped."""
    return AssetMaterializationFailure(
        asset_key=asset,
        description=None,
        metadata=normalize_metadata(metadata),
        partition=None,
        tags={},
        failure_type=AssetMaterializationFailureType.SKIPPED,
        reason=AssetMaterializationFailureReason.UNKNOWN,
    )


def report_hours(context: StepContext, events: Sequence[EventOfHours]) -> None:
    """Report what `context.log_event` would, one partition after another, in bulk if the instance's event log can.

    For the body of an asset that reports its hours itself, and for an op that fills hours of assets: a materialization
    for an hour that is done, `skipped` with the reason for one that is left out. An event log that does not take the
    latter gets an observation instead. Loggers do not get a line for each hour: that costs more than the records.

    The log of a run has a line for each event. Of an op, which may fill hours of hundreds of assets, the lines leave
    out metadata and tags, which the pages of the assets show.

    The times of the events of one call are a millisecond apart, the newest hour's is now: Dagster's pages would show
    events of one time as one.
    """
    events = [event for event in events if event.partitions]
    try:
        step = context.get_step_execution_context()
    except DagsterInvalidPropertyError:  # the asset is called as a function, without a run
        for event in events:
            for one in event.one_by_one():
                context.log_event(_as_observation(one))
        return
    in_bulk = records_in_bulk(context.instance)
    brief = not isinstance(context, AssetExecutionContext)
    entries = _entries(events, lambda event: _step_entry(step, event if in_bulk else _as_observation(event)), brief)
    _store(context.instance, step.run_id, entries)
    op_context = context.op_execution_context if isinstance(context, AssetExecutionContext) else context
    op_context._events.extend(entry.line.get_dagster_event() for entry in entries)


def reported_already(asset: AssetKey | None = None) -> MaterializeResult[None]:
    """The result of an asset that called report_hours: Dagster reports nothing more, and steps downstream go on."""
    return MaterializeResult(asset_key=asset, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def report_runless(instance: DagsterInstance, events: Sequence[EventOfHours]) -> None:
    """Report what `instance.report_runless_asset_event` would, one partition after another, in bulk likewise.

    For an external asset, whose hours are filled from outside Dagster.
    """
    entries = _entries([event for event in events if event.partitions], _runless_entry)
    _store(instance, RUNLESS_RUN_ID, entries)


def _entries(
    events: Sequence[EventOfHours], entry_of: Callable[[AssetEvent], EventLogEntry], brief: bool = False
) -> list[PartitionedEntry]:
    """The entries of events, in the order of the events; their times are in the order of all their partitions."""
    keys = sorted({partition for event in events for partition in event.partitions})
    now = round(time.time(), 3) + APART_S / 2  # in the middle of a millisecond, which rounding does not leave
    times = {key: round(now - APART_S * before, 4) for before, key in enumerate(reversed(keys))}
    return [
        PartitionedEntry(
            entry_of(next(event.one_by_one())),
            event.partitions,
            event.numbers,
            event.tags,
            [times[partition] for partition in event.partitions],
            brief,
        )
        for event in events
    ]


def _as_observation(event: AssetEvent) -> AssetMaterialization | AssetObservation:
    if isinstance(event, AssetMaterializationFailure):
        return AssetObservation(event.asset_key, partition=event.partition, metadata=event.metadata)
    return event


def _runless_entry(event: AssetEvent) -> EventLogEntry:
    data: StepMaterializationData | AssetObservationData
    if isinstance(event, AssetMaterialization):
        kind, data = DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(event)
    else:
        assert isinstance(event, AssetObservation)
        kind, data = DagsterEventType.ASSET_OBSERVATION, AssetObservationData(event)
    dagster_event = DagsterEvent(event_type_value=kind.value, event_specific_data=data, job_name=RUNLESS_JOB_NAME)
    return _log_entry(RUNLESS_RUN_ID, RUNLESS_JOB_NAME, None, logging.INFO, "", dagster_event)


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


def _step_entry(context: StepExecutionContext, event: AssetEvent) -> EventLogEntry:
    """The entry that Dagster would log for an event of a step."""
    if isinstance(event, AssetMaterializationFailure):
        failed = DagsterEvent.build_asset_failed_to_materialize_event(context.job_name, context.step.key, event)
        message = f"{event.asset_key.to_user_string()} skipped."
        failed = failed._replace(message=message)
        return _log_entry(context.run_id, context.job_name, context.step.key, logging.INFO, message, failed)
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
    if isinstance(storage, EventsInBulk):
        storage.store_entries(run_id, entries)
        return
    events = [entry for of_hours in entries for entry in of_hours.one_by_one()]
    batch_id = str(uuid4())
    for number, event in enumerate(events, start=1):
        instance.handle_new_event(event, batch_metadata=DagsterEventBatchMetadata(batch_id, number == len(events)))
