"""The checks of a market as a job, and the clock that starts it. Runs by default: a check switched off finds nothing.

All of them go at once, every hour: they take a few seconds together, and a wrong row is found as soon as it can be.
"""

from collections.abc import Sequence

import dagster as dg

from feature_backfill.config import Market

MINUTE = 20
"""Of each hour: the hour that has just closed has its row by then, as a rule, and its features."""


def checks_job(market: Market, checks: Sequence[dg.AssetChecksDefinition]) -> "dg.UnresolvedAssetJobDefinition":
    """`<market>__checks`: every check of the market."""
    return dg.define_asset_job(
        f"{market.name}__checks",
        selection=dg.AssetSelection.checks(*checks),
        description=f"Checks OHLCV and stored features of {market.name}, all hours of them. Writes nothing.",
    )


def checks_schedule(market: Market, job: "dg.UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    """Every hour, unless the market has no database at all yet."""

    @dg.schedule(
        name=f"{market.name}__checks_hourly",
        job=job,
        cron_schedule=f"{MINUTE} * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"All checks of {market.name}, every hour.",
    )
    def hourly() -> dg.RunRequest | dg.SkipReason:
        databases = market.source.database, market.target_database
        if not any(database.exists() for database in databases):
            return dg.SkipReason(f"neither {databases[0]} nor {databases[1]} exists yet")
        return dg.RunRequest()

    return hourly
