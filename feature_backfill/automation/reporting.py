"""The job that writes the reports of a market, and its daily schedule, which is stopped by default."""

import dagster as dg

from feature_backfill.assets.names import report_key
from feature_backfill.config import Market
from feature_backfill.dagster_internals.group_jobs import define_group_job

CRON = "40 0 * * *"
"""By then the last hour of the day before has its features and its checks."""


def report_job(market: Market) -> "dg.UnresolvedAssetJobDefinition":
    """`<market>__report`: a report of each feature set of the market."""
    return define_group_job(
        market.name,
        f"{market.name}__report",
        selection=dg.AssetSelection.assets(report_key(market)),
        description=f"Writes the reports of {market.name}, an HTML file for each feature set. Writes no row.",
    )


def report_schedule(market: Market, job: "dg.UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    """Runs the job once a day."""
    return dg.ScheduleDefinition(
        name=f"{market.name}__report_daily",
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Writes the reports of {market.name} once a day.",
    )
