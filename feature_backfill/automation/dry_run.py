"""The dry run of a backfill as a job: what would be computed, what is stored, what cannot be computed and why."""

from collections.abc import Sequence

import dagster as dg
import pandas as pd
from pydantic import Field

from feature_backfill.assets.decisions import plan_of
from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.automation.named import feature_set_named
from feature_backfill.config import Market
from feature_backfill.errors import UserError
from feature_backfill.hours import hour_range, last_closed_hour
from feature_backfill.planning.counting import count_hours
from feature_backfill.planning.plan import Keep
from feature_backfill.planning.reach import resolved_range
from feature_backfill.planning.wording import plan_table
from feature_backfill.store.bounds import utc_bound

JOB = "plan"


class PlanConfig(dg.Config):
    """Which feature set and which hours the plan is about."""

    market: str = Field(default="", description="Name of the market. May be empty if there is only one.")
    feature_key: str = Field(default="", description="May be empty if the market has only one.")
    start: str = Field(default="", description="First hour, UTC: 2025-11-13T08:00. Empty: 48 hours before the end.")
    end: str = Field(default="", description="Last hour, UTC. Empty: the last closed hour.")
    overwrite: bool = Field(default=False, description="Plan to compute stored hours anew.")


def plan_job(markets: Sequence[Market]) -> dg.JobDefinition:
    """Says what a backfill of a range would do, as metadata of its output and in the log; writes nothing."""

    @dg.op(name=f"{JOB}_op", out=dg.Out(dg.Nothing))
    def plan_op(context: dg.OpExecutionContext, config: PlanConfig) -> None:
        with user_errors_fail_the_step():
            market, feature_set = feature_set_named(markets, config.market, config.feature_key)
            keep = Keep.NONE if config.overwrite else Keep.ALL
            plan = plan_of(market, feature_set, _hours(market, config), keep)
        counts = count_hours(plan, *plan.ends)
        context.log.info(f"{feature_set.key}: {counts}")
        context.add_output_metadata({**counts.as_dict(), "ranges": dg.MetadataValue.md(plan_table(plan))})

    @dg.job(
        name=JOB,
        description=(
            "Dry run of the backfill of a feature set: what a range would compute, what is stored, what cannot be "
            "computed and why. Writes nothing; see the metadata of the run's output."
        ),
        executor_def=dg.in_process_executor,
    )
    def plan_of_range() -> None:
        plan_op()

    return plan_of_range


def _hours(market: Market, config: PlanConfig) -> pd.DatetimeIndex:
    """The hours that the config means. Raises UserError if a time does not parse or the range is empty."""
    start, end = (utc_bound("start or end", text or None) for text in (config.start, config.end))
    first, last = resolved_range(start, end, last_closed_hour())
    hours = hour_range(first if start else max(first, market.first_hour), last)
    if hours.empty or hours[0] < market.first_hour:
        asked = f"{first} .. {last}"
        raise UserError(
            f"{asked} begins before {market.first_hour}, the first hour of {market.name}; ask for later hours, "
            "or set an earlier first_hour in its YAML"
        )
    return hours
