"""Who holds the slots of a pool.

Rests on these facts of Dagster 1.13.27, none of them public: `get_concurrency_info`, `get_concurrency_run_ids` and
`free_concurrency_slots_for_run` of the event log storage, which the storage of an ephemeral instance does not support.
Dagster shows and frees slots in its UI; for code there is no public way.
"""

from collections.abc import Set

import dagster as dg


def runs_in_pool(instance: dg.DagsterInstance, pool: str) -> Set[str]:
    """The ids of the runs of which a step holds a slot of the pool."""
    storage = instance.event_log_storage
    return storage.get_concurrency_info(pool).active_run_ids if storage.supports_global_concurrency_limits else set()


def runs_in_any_pool(instance: dg.DagsterInstance) -> Set[str]:
    """The ids of the runs of which a step holds a slot, or waits for one."""
    return instance.event_log_storage.get_concurrency_run_ids()


def free_slots(instance: dg.DagsterInstance, run_id: str) -> None:
    """Free every slot that a run holds, and take its steps out of the queues."""
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)
