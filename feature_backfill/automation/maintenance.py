"""The daily job that maintains the lakes of markets. There is none where all markets have DuckDB files."""

from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.automation.named import markets_named
from feature_backfill.config import Lake, Market
from feature_backfill.errors import ErrorsNoted
from feature_backfill.store.database import connect
from feature_backfill.store.maintenance import Maintained, maintain_lake
from feature_backfill.store.targets import exists

JOB = "maintain"
KEEP_DAYS = 7
CRON = "50 1 * * *"


class MaintenanceConfig(dg.Config):
    """Options of the maintenance."""

    markets: list[str] = Field(default=[], description="Names of markets with a lake. Empty: all.")
    keep_days: int = Field(default=KEEP_DAYS, ge=0, description="Snapshots younger than so many days are kept.")


def maintain(lake: Lake, keep_days: int = KEEP_DAYS) -> Maintained | None:
    """Maintain a lake; None if nothing is stored in it yet. Raises UserError or RunError."""
    if not exists(lake):
        return None
    with connect(lake, read_only=False) as connection:
        return maintain_lake(connection, keep_days)


def maintenance_job(markets: Sequence[Market]) -> dg.JobDefinition:
    """Maintains one lake after the other. It waits for whoever writes; who reads does not notice it.

    markets: that have a lake.
    """

    @dg.op(name=f"{JOB}_op", out=dg.Out(dg.Nothing))
    def maintain_op(context: dg.OpExecutionContext, config: MaintenanceConfig) -> None:
        errors = ErrorsNoted()
        with user_errors_fail_the_step():
            for market in markets_named(markets, config.markets):
                with errors.noted():
                    assert isinstance(market.target, Lake)
                    done = maintain(market.target, config.keep_days)
                    context.log.info(f"{market.name}: {done or 'nothing is stored yet'}")
            errors.raise_all()

    @dg.job(
        name=JOB,
        description=(
            "Maintains the lakes of markets: moves new rows from the catalog to Parquet files, merges small files, "
            "expires old snapshots, and deletes files that nobody needs any more. Changes no row."
        ),
        executor_def=dg.in_process_executor,
    )
    def maintain_lakes() -> None:
        maintain_op()

    return maintain_lakes


def maintenance_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Runs the job once a day."""
    return dg.ScheduleDefinition(
        name="maintain_daily",
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Maintains the lakes of all markets once a day.",
    )
