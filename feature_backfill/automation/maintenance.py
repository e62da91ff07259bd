"""The daily job that maintains a market's lake. A market with a DuckDB file has none."""

import dagster as dg
from pydantic import Field

from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.config import Lake, Market
from feature_backfill.store.database import connect
from feature_backfill.store.maintenance import Maintained, maintain_lake
from feature_backfill.store.targets import exists

KEEP_DAYS = 7
CRON = "50 1 * * *"


class MaintenanceConfig(dg.Config):
    """Options of the maintenance."""

    keep_days: int = Field(default=KEEP_DAYS, ge=0, description="Snapshots younger than so many days are kept.")


def maintain(lake: Lake, keep_days: int = KEEP_DAYS) -> Maintained | None:
    """Maintain a lake; None if nothing is stored in it yet. Raises UserError or RunError."""
    if not exists(lake):
        return None
    with connect(lake, read_only=False) as connection:
        return maintain_lake(connection, keep_days)


def maintenance_job(market: Market, lake: Lake) -> dg.JobDefinition:
    """`<market>__maintenance`. It waits for whoever writes; who reads does not notice it."""
    name = f"{market.name}__maintenance"

    @dg.op(name=f"{name}_op", out=dg.Out(dg.Nothing))
    def maintenance_op(context: dg.OpExecutionContext, config: MaintenanceConfig) -> None:
        with user_errors_fail_the_step():
            context.log.info(str(maintain(lake, config.keep_days) or f"nothing is stored in {lake} yet"))

    @dg.job(
        name=name,
        description=(
            f"Maintains the lake of {market.name}: moves new rows from the catalog to Parquet files, merges small "
            "files, expires old snapshots, and deletes files that nobody needs any more. Changes no row."
        ),
        executor_def=dg.in_process_executor,
    )
    def maintenance() -> None:
        maintenance_op()

    return maintenance


def maintenance_schedule(market: Market, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Runs the job once a day."""
    return dg.ScheduleDefinition(
        name=f"{market.name}__maintenance_daily",
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Maintains the lake of {market.name} once a day.",
    )
