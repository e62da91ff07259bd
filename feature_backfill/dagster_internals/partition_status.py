"""What Dagster knows of an asset's partitions: the newest event of each, and the status that it caches.

Rests on these facts of Dagster 1.13.27, none of them public: `get_latest_storage_id_by_partition` of the event log
storage, and `cached_status` of an asset's entry, which the webserver reads and fills.

The public way is `instance.get_status_by_partition`. It does not say when an event was stored, nor what was once
planned, and it goes by that cache. For 20,000 hours it takes more than twenty times as long as the query here
(`python -m benchmarks bookkeeping`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg


def newest_materializations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: Iterable[str] | None = None
) -> Mapping[str, int]:
    """The storage id of the newest materialization of each partition that has one.

    partitions: among these; all if there is none.
    """
    return instance.event_log_storage.get_latest_storage_id_by_partition(
        asset, dg.DagsterEventType.ASSET_MATERIALIZATION, None if partitions is None else set(partitions)
    )


def newest_plans(instance: dg.DagsterInstance, asset: dg.AssetKey) -> Mapping[str, int]:
    """The storage id of the newest event of each partition by which a run planned to materialize it, if any did."""
    return instance.event_log_storage.get_latest_storage_id_by_partition(
        asset, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    )


def forget_failures(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: dg.PartitionsDefinition, keys: Iterable[str]
) -> None:
    """Have partitions that a later run left out no longer read failed. Dagster's cache keeps the mark of the first."""
    keys = list(keys)
    cached = _cached_status(instance, asset, partitions) if keys else None
    if cached is not None:
        failed = cached.deserialize_failed_partition_subsets(partitions)
        if not failed.is_empty and any(key in failed for key in keys):
            instance.wipe_asset_cached_status([asset])


def drop_stale_status(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: dg.PartitionsDefinition, materialized: int
) -> None:
    """Drop the cached status of an asset's partitions if it may hold what Dagster would not find by looking again.

    materialized: number of partitions that are. Dagster only ever adds to the cache, and a webserver that looked during
    a wipe may have put back what was wiped. A new cache takes Dagster seconds, so the old one stays if it can be right.
    """
    cached = _cached_status(instance, asset, partitions)
    if cached is not None:
        failed = cached.deserialize_failed_partition_subsets(partitions)
        known = cached.deserialize_materialized_partition_subsets(partitions)
        if not failed.is_empty or len(known) > materialized:
            instance.wipe_asset_cached_status([asset])


def _cached_status(instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: dg.PartitionsDefinition) -> Any:
    """The status that Dagster caches of an asset with these partitions; None if it has cached none."""
    record = next(iter(instance.get_asset_records([asset])), None)
    cached = record.asset_entry.cached_status if record else None
    if cached is None or cached.partitions_def_id != partitions.get_serializable_unique_identifier():
        return None
    return cached
