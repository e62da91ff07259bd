"""Entries of an event log that differ only in their hour and in values that belong to it, put together.

It is the way back from the entries of the partitions to the `PartitionedEntry` that says the same.

Rests on these facts of Dagster 1.13.27, none of them public: the JSON of an entry, in which the numbers of its metadata
have one of two class names; the names of the tags that tell versions of data.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dagster import EventLogEntry
from dagster._core.definitions.data_version import (
    DATA_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
)
from dagster._serdes import deserialize_value

from feature_backfill.dagster_internals.bulk_events import BULK_TYPES
from feature_backfill.dagster_internals.partitioned_entries import PartitionedEntry, asset_event_json

_HOUR = re.compile(r"\d{4}-\d\d-\d\d-\d\d:\d\d")
_TYPES = {kind.value for kind in BULK_TYPES}
_NUMBERS = {"IntMetadataEntryData", "FloatMetadataEntryData"}
_VERSIONS = (DATA_VERSION_TAG, INPUT_DATA_VERSION_TAG_PREFIX, INPUT_EVENT_POINTER_TAG_PREFIX)


@dataclass
class Alike:
    """Entries that differ in their hour, time, numbers and versions only; all lists are in their order.

    described: whether they have a description of their own. size: characters of their JSON. first, last: JSON of these.
    """

    described: bool
    first: str
    last: str = ""
    size: int = 0
    ids: list[int] = field(default_factory=list)
    hours: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    numbers: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    tags: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def entry(self) -> PartitionedEntry | None:
        """The one entry that says the same; None if the first or the last would not be as it was."""
        first, last = (deserialize_value(text, EventLogEntry) for text in (self.first, self.last))
        entry = PartitionedEntry(first, self.hours, self.numbers, self.tags, self.times)
        return entry if next(entry.one_by_one()) == first and entry.last == last else None


def alike(entries: Iterable[tuple[int, str]]) -> list[Alike]:
    """Entries (id, JSON), put together; without those that are no asset event of an hour."""
    found: dict[str, Alike] = {}
    for number, text in entries:
        data = json.loads(text)
        if data["dagster_event"]["event_type_value"] not in _TYPES:
            continue
        event = asset_event_json(data)
        hour = event.pop("partition", None)
        if hour is None or not _HOUR.fullmatch(hour):
            continue
        time, numbers, tags = data.pop("timestamp"), _taken_numbers(event), _taken_versions(event)
        one = found.setdefault(json.dumps(data), Alike(bool(event.get("description")), text))
        one.last = text
        one.size += len(text)
        one.ids.append(number)
        one.hours.append(hour)
        one.times.append(time)
        for name, value in numbers.items():
            one.numbers[name].append(value)
        for name, tag in tags.items():
            one.tags[name].append(tag)
    return list(found.values())


def _taken_numbers(event: dict[str, Any]) -> dict[str, float]:
    """The numbers of the metadata, taken from there."""
    entries = [entry for entry in event.get("metadata_entries", ()) if entry["entry_data"]["__class__"] in _NUMBERS]
    return {entry["label"]: entry["entry_data"].pop("value") for entry in entries}


def _taken_versions(event: dict[str, Any]) -> dict[str, str]:
    """The tags of versions; their values are taken from the event."""
    tags = event.get("tags") or {}
    taken = {name: value for name, value in tags.items() if name.startswith(_VERSIONS)}
    tags.update(dict.fromkeys(taken))
    return taken
