"""The plan of a backfill, asked for in the UI: what would be computed, what is stored, what cannot be, and why."""

import dagster as dg
import pandas as pd
from pydantic import Field

from feature_backfill.assets.failures import told_to_the_operator
from feature_backfill.assets.plan import Plan, make_plan
from feature_backfill.automation.jobs import job_name
from feature_backfill.config import FeatureSet, Market
from feature_backfill.engine.soundness import by_kind, details_of
from feature_backfill.errors import UserError
from feature_backfill.hours import DEFAULT_REACH, contiguous_runs, hour_range, last_closed_hour, to_utc

SHOWN_RANGES = 20


class PlanConfig(dg.Config):
    """Which hours the plan is about."""

    start: str = Field(default="", description="First hour, UTC: 2025-11-13T08:00. Empty: 48 hours before the end.")
    end: str = Field(default="", description="Last hour, UTC. Empty: the last closed hour.")
    overwrite: bool = Field(default=False, description="Plan to compute stored hours anew.")


def plan_job_name(market: Market, feature_set: FeatureSet) -> str:
    """`<market>__<feature key as a slug>__plan`."""
    return f"{job_name(market, feature_set)}__plan"


def plan_job(market: Market, feature_set: FeatureSet) -> dg.JobDefinition:
    """Says what a backfill of a range would do, as metadata of its output and in the log; writes nothing."""
    name = plan_job_name(market, feature_set)

    @dg.op(name=f"{name}_op", out=dg.Out(dg.Nothing))
    def plan_op(context: dg.OpExecutionContext, config: PlanConfig) -> None:
        with told_to_the_operator():
            plan = make_plan(market, feature_set, _hours(market, config), config.overwrite)
        counts = {
            "compute": len(plan.compute),
            "stored": len(plan.kept),
            "cannot be computed": len(plan.skipped),
            "not in OHLCV": len(plan.absent),
            "not closed yet": len(plan.open),
        }
        context.log.info(f"{feature_set.key}: {', '.join(f'{count} {what}' for what, count in counts.items())}")
        context.add_output_metadata({**counts, "ranges": dg.MetadataValue.md(_table(plan))})

    @dg.job(
        name=name,
        description=(
            f"Dry run of {job_name(market, feature_set)}: what a range would compute, what is stored, "
            "what cannot be computed and why. Writes nothing; see the metadata of the run's output."
        ),
        executor_def=dg.in_process_executor,
    )
    def plan_of_range() -> None:
        plan_op()

    return plan_of_range


def _hours(market: Market, config: PlanConfig) -> pd.DatetimeIndex:
    """The hours that the config means. Raises UserError if a time does not parse or the range is empty."""
    try:
        end = to_utc([config.end])[0].floor("h") if config.end else last_closed_hour()
        start = to_utc([config.start])[0].ceil("h") if config.start else end - DEFAULT_REACH
    except ValueError as error:
        raise UserError(f"start or end: {error}") from error
    hours = hour_range(max(start, market.first_hour), end)
    if hours.empty:
        raise UserError(f"no hour from {start} to {end} since {market.first_hour}, the first hour of {market.name}")
    return hours


def _table(plan: Plan) -> str:
    """Markdown: one line a contiguous range of hours with one fate, oldest first; no more than some of each fate."""
    fates = [("compute", plan.compute, ""), ("stored", plan.kept, ""), ("not in OHLCV", plan.absent, "")]
    for kind, skipped in by_kind(plan.skipped):
        fates.append((f"cannot be computed: {kind}", pd.DatetimeIndex(skipped.index), details_of(skipped.iloc[-1])))
    fates.append(("not closed yet", plan.open, ""))
    lines = ["| | hours | first | last | e.g. |", "|---|---|---|---|---|"]
    for fate, hours, example in fates:
        ranges = contiguous_runs(hours)
        for first, last in ranges[:SHOWN_RANGES]:
            lines.append(f"| {fate} | {len(hour_range(first, last))} | {first} | {last} | {example} |")
        if len(ranges) > SHOWN_RANGES:
            lines.append(f"| {fate} | {len(hours)} in all | | | {len(ranges) - SHOWN_RANGES} more ranges |")
    return "\n".join(lines)
