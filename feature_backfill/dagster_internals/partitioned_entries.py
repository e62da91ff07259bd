"""One log entry that stands for many partitions.

Dagster makes an `EventLogEntry` for each partition of an asset's event. Entries of one event differ in the partition,
the time, and a few values. So the entry of the first partition, the list of partitions and these values say everything.

Rests on these facts of Dagster 1.13.27, none of them public: a materialization, an observation, a failed and a planned
materialization each keep the partition, the tags and the metadata in a field of `event_specific_data`; a planned event
may carry a subset of partitions in place of one; a field that is missing in an entry's JSON takes its default. There is
no public way to make an `EventLogEntry`, or one for another partition.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dagster import AssetKey, AssetMaterialization, AssetObservation, DagsterEvent, EventLogEntry
from dagster._core.definitions.events import AssetMaterializationFailure
from dagster._core.events import (
    AssetFailedToMaterializeData,
    AssetMaterializationPlannedData,
    AssetObservationData,
    StepMaterializationData,
)
from dagster._serdes import deserialize_value, serialize_value

AssetEvent = AssetMaterialization | AssetObservation | AssetMaterializationFailure
AnyEvent = TypeVar("AnyEvent", AssetMaterialization, AssetObservation, AssetMaterializationFailure, AssetEvent)
Value = TypeVar("Value", float, str)

APART_S = 0.001
"""Between the times of neighbouring partitions. Dagster's pages merge events of one millisecond into one line."""

_EVENT_FIELDS = ("materialization", "asset_observation", "asset_materialization_failure")
_LEFT_TO_DEFAULTS = {
    "asset_lineage", "description", "error", "location_name", "logging_tags", "message", "partitions_subset", "pid",
    "repository_name", "solid_handle", "step_handle", "step_key", "step_kind_value", "tags",
    "will_retry",
}  # fmt: skip
_MARK = "\x01"
_MARKS = re.compile(r'"\\u0001(\d+)"')


@dataclass(frozen=True)
class PartitionedEntry:
    """An entry of some partitions.

    entry: of the first partition. partitions: the keys of all, in order (None: no partition). numbers, tags: values of
    metadata and of tags, by name, one for each partition. times: seconds since 1970, of each partition; by default that
    of the entry. brief: whether the line in the log of the run leaves out metadata and tags.
    """

    entry: EventLogEntry
    partitions: Sequence[str | None]
    numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    times: Sequence[float] | None = None
    brief: bool = False

    @property
    def dagster_event(self) -> DagsterEvent:
        """The event of the first partition."""
        return self.entry.get_dagster_event()

    @property
    def asset(self) -> AssetKey:
        """The asset of the event."""
        key = self.dagster_event.asset_key
        assert key is not None
        return key

    @property
    def line(self) -> EventLogEntry:
        """The entry that stands for all in the log of a run: that of the last partition, with the range of all."""
        if planned_subset(self.entry) is not None:
            return self.entry
        count = len(self.partitions)
        every = {"hours": f"{self.partitions[0]} .. {self.partitions[-1]}, {count:,} hours"} if count > 1 else {}
        return self._of(count - 1, every, whole=not self.brief)

    @property
    def last(self) -> EventLogEntry:
        """The entry of the last partition."""
        return self._of(len(self.partitions) - 1)

    def among(self, partitions: Set[str | None]) -> "PartitionedEntry":
        """The entry, without values of its own, for those of its partitions that are in a set."""
        return PartitionedEntry(self.entry, [partition for partition in self.partitions if partition in partitions])

    def one_by_one(self) -> Iterator[EventLogEntry]:
        """The entry of each partition."""
        return map(self._of, range(len(self.partitions)))

    def texts(self, of: Callable[[EventLogEntry], EventLogEntry]) -> Iterator[str]:
        """The JSON of each partition's entry, short: without what follows from defaults.

        of: what of an entry is written.
        """
        template, cells = self._template(of)
        return (template % values for values in zip(*cells, strict=True))

    def time(self, at: int) -> float:
        """The time of a partition's entry."""
        return self.entry.timestamp if self.times is None else self.times[at]

    def _of(self, at: int, further: Mapping[str, str] | None = None, whole: bool = True) -> EventLogEntry:
        event = self.entry.get_dagster_event()
        data: Any = event.event_specific_data
        partition = self.partitions[at]
        match data:
            case StepMaterializationData(materialization=asset_event):
                data = data._replace(materialization=self._event(asset_event, at, further or {}, whole))
            case AssetObservationData(asset_observation=asset_event):
                data = data._replace(asset_observation=self._event(asset_event, at, further or {}, whole))
            case AssetFailedToMaterializeData(asset_materialization_failure=asset_event):
                data = data._replace(asset_materialization_failure=self._event(asset_event, at, further or {}, whole))
            case AssetMaterializationPlannedData():
                data = data._replace(partition=partition, partitions_subset=None)
        return self.entry._replace(dagster_event=event._replace(event_specific_data=data), timestamp=self.time(at))

    def _event(self, event: AnyEvent, at: int, further: Mapping[str, str], whole: bool) -> AnyEvent:
        metadata: dict[str, Any] = {**event.metadata, **values_at(self.numbers, at)} if whole else {}
        tags = {**(event.tags or {}), **values_at(self.tags, at)} if whole else {}
        return of_partition(event, self.partitions[at], {**metadata, **further}, tags)

    def _template(self, of: Callable[[EventLogEntry], EventLogEntry]) -> tuple[str, list[Sequence[str]]]:
        """The text with a %s for each value that differs, and the texts of these values, one for each partition.

        An entry is serialized once. Serializing that of each partition takes more than ten times as long.
        """
        data = _short_json(of(self._of(0)))
        cells: list[Sequence[str]] = []

        def mark(values: Sequence[object]) -> str:
            cells.append([json.dumps(value) for value in values])
            return f"{_MARK}{len(cells) - 1}"

        self._put_marks(data, mark)
        text = json.dumps(data, separators=(",", ":")).replace("%", "%%")
        used = [cells[int(place)] for place in _MARKS.findall(text)]
        return _MARKS.sub("%s", text), used

    def _put_marks(self, data: dict[str, Any], mark: Callable[[Sequence[object]], str]) -> None:
        event = asset_event_json(data)
        event["partition"] = mark(self.partitions)
        if self.times is not None:
            data["timestamp"] = mark(self.times)
        for name, values in self.tags.items():
            event["tags"][name] = mark(values)
        for entry in event.get("metadata_entries", ()):
            if entry["label"] in self.numbers:
                entry["entry_data"]["value"] = mark(self.numbers[entry["label"]])


def values_at(varying: Mapping[str, Sequence[Value]], at: int) -> dict[str, Value]:
    """Of values that differ from partition to partition, those of the partition at a place."""
    return {name: values[at] for name, values in varying.items()}


def of_partition(
    event: AnyEvent, partition: str | None, metadata: Mapping[str, Any], tags: Mapping[str, str]
) -> AnyEvent:
    """An event, now of one partition, with this metadata and these tags."""
    changed: dict[str, Any] = {
        "asset_key": event.asset_key,
        "description": event.description,
        "metadata": metadata,
        "partition": partition,
        "tags": tags or (event.tags and {}),
    }
    if isinstance(event, AssetMaterializationFailure):
        changed |= {"failure_type": event.failure_type, "reason": event.reason}
    return type(event)(**changed)


def partitioned(entry: EventLogEntry) -> PartitionedEntry:
    """An asset event's entry with its partitions: those of the subset that it plans, else its one."""
    subset = planned_subset(entry)
    if subset is None:
        return PartitionedEntry(entry, [entry.get_dagster_event().partition])
    return PartitionedEntry(entry, list(subset.get_partition_keys()))


def planned_subset(entry: EventLogEntry) -> Any:
    """The subset of partitions that one event plans; None for every other event."""
    data = entry.dagster_event.event_specific_data if entry.dagster_event else None
    return data.partitions_subset if isinstance(data, AssetMaterializationPlannedData) else None


def bare(entry: EventLogEntry) -> EventLogEntry:
    """An entry of a step without what its partitions need not repeat: the log of the run has it once."""
    event = entry.get_dagster_event()._replace(
        job_name="",  # the entry has it, and the step's key
        logging_tags={},
        message=None,
        node_handle=None,
        pid=None,
        step_handle=None,
        step_key=None,
        step_kind_value=None,
    )
    return entry._replace(dagster_event=event, user_message="")


def asset_event_json(data: dict[str, Any]) -> dict[str, Any]:
    """The part of an asset event's entry, as JSON, that has the partition, the tags and the metadata."""
    specific: dict[str, Any] = data["dagster_event"]["event_specific_data"]
    return next((specific[name] for name in _EVENT_FIELDS if name in specific), specific)


def short_text(entry: EventLogEntry) -> str:
    """The JSON of an entry, without what follows from defaults."""
    return json.dumps(_short_json(entry), separators=(",", ":"))


def _short_json(entry: EventLogEntry) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(serialize_value(entry))
    short: dict[str, Any] = _without_defaults(data)
    if deserialize_value(json.dumps(short), EventLogEntry) == entry:
        return short
    return data  # this Dagster has other defaults


def _without_defaults(node: Any) -> Any:
    """The JSON of an entry without the fields that are empty, and those of which no page shows anything."""
    if isinstance(node, list):
        return [_without_defaults(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _without_defaults(value)
        for name, value in node.items()
        if name not in _LEFT_TO_DEFAULTS or value not in (None, [], {}, "")
    }
