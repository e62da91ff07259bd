"""Taking back that hours of an asset are materialized.

Dagster can do this for whole assets only: `instance.wipe_assets` would also hide the skip reasons, links to runs and
failed marks of every other hour, and `instance.wipe_asset_partitions` is not implemented by the open-source storages
(dagster-io/dagster#14749).

Rests on these facts of Dagster 1.13.27, none of them public: the tables `SqlEventLogStorageTable`, where a row without
an asset key is invisible to questions about the asset, and `AssetKeyTable`, where an empty `last_materialization` makes
Dagster look for the newest event that is left. They are those of every SQL event log: SQLite, batched or not, and
PostgreSQL.
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.events import AssetWipedData, DagsterEvent
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from feature_backfill.errors import UserError

KEYS_PER_STATEMENT = 500


def wipe_partitions(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition_keys: Sequence[str], up_to: int
) -> None:
    """Have partitions of an asset shown as missing, and record this as Dagster records a wipe.

    up_to: storage id of the last event to take back; what is reported after it stays. Only the index that Dagster asks
    about the asset forgets. The events stay in the logs of their runs; failed marks and observations stay as well.

    Raises UserError if the event log is not stored in SQL.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise UserError(
            f"hours cannot be taken back from this instance's {type(storage).__name__}, which is not stored in SQL; "
            "configure SQLite or PostgreSQL in dagster.yaml"
        )
    events, assets = SqlEventLogStorageTable, AssetKeyTable
    with storage.index_transaction() as connection:
        for start in range(0, len(partition_keys), KEYS_PER_STATEMENT):
            some = partition_keys[start : start + KEYS_PER_STATEMENT]
            connection.execute(
                events.update()
                .values(asset_key=None)
                .where(
                    events.c.asset_key == asset.to_string(),
                    events.c.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value,
                    events.c.partition.in_(some),
                    events.c.id <= up_to,
                )
            )
        # It may be one of those.
        connection.execute(
            assets.update().values(last_materialization=None).where(assets.c.asset_key == asset.to_string())
        )
    storage.wipe_asset_cached_status(asset)
    wiped = DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_WIPED.value,
        event_specific_data=AssetWipedData(asset_key=asset, partition_keys=list(partition_keys)),
        job_name=RUNLESS_JOB_NAME,
    )
    instance.report_dagster_event(wiped, run_id=RUNLESS_RUN_ID)
