"""The job that makes all checks of a market, and its hourly schedule.

The schedule is on by default, because checks that are off find nothing. All checks take a few seconds together, so they
run every hour and find a wrong row soon.
"""

from collections.abc import Sequence

import dagster as dg

from feature_backfill.config import Market
from feature_backfill.dagster_internals.group_jobs import define_group_job
from feature_backfill.store.targets import exists

MINUTE = 20
"""Past each hour. By then the hour that has just closed usually has its OHLCV row and its features."""

CHECKS_TAG = "feature_backfill/checks"
"""Run tag, by which `configs/dagster.yaml` limits how many markets are checked at once."""


def checks_job(market: Market, checks: Sequence[dg.AssetChecksDefinition]) -> "dg.UnresolvedAssetJobDefinition":
    """`<market>__checks`: every check of the market."""
    return define_group_job(
        market.name,
        f"{market.name}__checks",
        selection=dg.AssetSelection.checks(*checks),
        description=(
            f"Makes every check of {market.name}, over all hours of OHLCV and features. Writes no row. "
            "Once all checks are made, it fails if one of them found an error; a warning does not fail it."
        ),
        config={"ops": _default_options(checks)},
        tags={CHECKS_TAG: market.name},
    )


def _default_options(checks: Sequence[dg.AssetChecksDefinition]) -> dict[str, object]:
    """The default options of checks, by op. The launchpad shows those that are null only if the job states them."""
    schemas = {check.op.name: check.op.config_schema for check in checks}
    defaults = {op: schema.default_value for op, schema in schemas.items() if schema.default_provided}
    return {op: {"config": options} for op, options in defaults.items() if options}


def checks_schedule(market: Market, job: "dg.UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    """Runs the job every hour, unless neither database of the market exists yet."""

    @dg.schedule(
        name=f"{market.name}__checks_hourly",
        job=job,
        cron_schedule=f"{MINUTE} * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Runs every check of {market.name} once an hour.",
    )
    def hourly() -> dg.RunRequest | dg.SkipReason:
        databases = market.source.database, market.target
        if not any(exists(database) for database in databases):
            return dg.SkipReason(f"neither {databases[0]} nor {databases[1]} exists yet")
        return dg.RunRequest()

    return hourly
