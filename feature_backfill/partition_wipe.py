"""Taking back that hours of an asset are materialized, which Dagster does for whole assets only.

`instance.wipe_asset_partitions` is not implemented by the open source storages (1.13.27, dagster-io/dagster#14749), and
`instance.wipe_assets` would hide skip reasons, links to runs and failed marks of every other hour as well. What is here
works on Dagster's tables and so on every SQL event log: SQLite, batched or not, and PostgreSQL.
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
    """Have partitions of an asset shown as missing, and record that as Dagster's event of a wipe.

    up_to: storage id of the last event that counts: what is reported after it stays. Only the index that Dagster asks
    about the asset forgets: the events stay in the logs of their runs, and so do failed marks and observations.

    Raises UserError if the event log is not stored in SQL.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise UserError(f"hours cannot be taken back from a {type(storage).__name__}, the event log of this instance")
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
        # It may be one of those; without it, Dagster looks for the newest event that is left.
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
