"""One log entry that stands for many partitions.

Dagster makes an `EventLogEntry` for each partition of an asset's event. Entries of one event differ only in the
partition, so the first of them and the list of partitions say everything.

Rests on these facts of Dagster 1.13.27, none of them public: a materialization, an observation and a planned
materialization each keep the partition in a field of their own of `event_specific_data`; a planned event may carry a
subset of partitions in place of one. There is no public way to make an `EventLogEntry`, or one for another partition.
"""

from collections.abc import Iterator, Sequence, Set
from typing import Any, NamedTuple

from dagster import EventLogEntry
from dagster._core.events import AssetMaterializationPlannedData, AssetObservationData, StepMaterializationData


class PartitionedEntry(NamedTuple):
    """An entry of some partitions: the entry of the first, and the keys of all, in order (None: no partition)."""

    first: EventLogEntry
    partitions: Sequence[str | None]

    @property
    def last(self) -> EventLogEntry:
        """The entry of the last partition."""
        return _of_partition(self.first, self.partitions[-1])

    def among(self, partitions: Set[str | None]) -> "PartitionedEntry":
        """The entry for those of its partitions that are in a set."""
        kept = [partition for partition in self.partitions if partition in partitions]
        return PartitionedEntry(_of_partition(self.first, kept[0]) if kept else self.first, kept)

    def one_by_one(self) -> Iterator[EventLogEntry]:
        """The entry of each partition."""
        for partition in self.partitions:
            yield _of_partition(self.first, partition)


def partitioned(entry: EventLogEntry) -> PartitionedEntry:
    """An asset event's entry with its partitions: those of the subset that it plans, else its one."""
    subset = planned_subset(entry)
    if subset is None:
        return PartitionedEntry(entry, [entry.get_dagster_event().partition])
    keys = list(subset.get_partition_keys())
    return PartitionedEntry(_of_partition(entry, keys[0]) if keys else entry, keys)


def planned_subset(entry: EventLogEntry) -> Any:
    """The subset of partitions that one event plans; None for every other event."""
    data = entry.dagster_event.event_specific_data if entry.dagster_event else None
    return data.partitions_subset if isinstance(data, AssetMaterializationPlannedData) else None


def _of_partition(entry: EventLogEntry, partition: str | None) -> EventLogEntry:
    """The entry as it reads for another partition."""
    event = entry.get_dagster_event()
    if event.partition == partition:
        return entry
    data: Any = event.event_specific_data
    match data:
        case StepMaterializationData(materialization=materialization):
            data = data._replace(materialization=materialization._replace(partition=partition))
        case AssetObservationData(asset_observation=observation):
            data = data._replace(asset_observation=observation._replace(partition=partition))
        case AssetMaterializationPlannedData():
            data = data._replace(partition=partition, partitions_subset=None)
    return entry._replace(dagster_event=event._replace(event_specific_data=data))
