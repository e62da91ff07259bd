"""Versions of data, by which Dagster's pages tell whether an hour is in step with what it rests on ("Unsynced").

An event names the version of its data, and for each upstream asset the newest event of the log when that was read. An
hour is unsynced if an upstream asset has since got an event of the same hour with another version.

Rests on these facts of Dagster 1.13.27, none of them public: the names of the tags; that of a partitioned upstream
asset only the event pointer counts, and of an external one only observations; `get_maximum_record_id` of the event log
storage. The public way, `code_version` and a `MaterializeResult` with a `data_version`, makes Dagster look up the
newest event of each upstream partition one by one.
"""

import re
from collections.abc import Iterable, Mapping

import sqlalchemy as db
from dagster import AssetKey, DagsterEventType, DagsterInstance
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

VERSION_TAG = "dagster/data_version"
BEFORE_ALL = 1
"""A pointer to before every event: what was read then is out of step with whatever has a version now."""

_VERSION = re.compile(rf'"{VERSION_TAG}": ?"([^"]*)"')
_KEYS_PER_QUERY = 500


def newest_event(instance: DagsterInstance) -> int:
    """The id of the newest event in the log, 0 if there is none. Ask before reading what events tell of."""
    return instance.event_log_storage.get_maximum_record_id() or 0


def read_at(event: int, upstream: Iterable[AssetKey]) -> dict[str, str]:
    """The tags of an event that rests on upstream assets as they were when `event` was the newest of the log."""
    tags = {"dagster/code_version": "1"}
    for key in upstream:
        name = key.to_user_string()
        tags |= {f"dagster/input_data_version/{name}": "-", f"dagster/input_event_pointer/{name}": str(event)}
    return tags


def newest_versions(
    instance: DagsterInstance, asset: AssetKey, partitions: list[str] | None = None
) -> Mapping[str, str]:
    """The version that the newest materialization or observation of each partition names; "" if it names none.

    partitions: among these; all if there is none. Empty if the event log is not stored in SQL.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return {}
    columns = SqlEventLogStorageTable.c
    kinds = [DagsterEventType.ASSET_MATERIALIZATION.value, DagsterEventType.ASSET_OBSERVATION.value]
    newest = (
        db.select(db.func.max(columns.id))
        .where(columns.asset_key == asset.to_string(), columns.dagster_event_type.in_(kinds))
        .group_by(columns.partition)
    )
    found: dict[str, str] = {}
    with storage.index_connection() as connection:
        for some in [None] if partitions is None else _parts(partitions):
            among = newest if some is None else newest.where(columns.partition.in_(some))
            events = db.select(columns.partition, columns.event).where(columns.id.in_(among))
            found.update({key: _version(text) for key, text in connection.execute(events) if key is not None})
    return found


def _version(text: str) -> str:
    named = _VERSION.search(text)
    return named[1] if named else ""


def _parts(keys: list[str]) -> list[list[str]]:
    return [keys[start : start + _KEYS_PER_QUERY] for start in range(0, len(keys), _KEYS_PER_QUERY)]
