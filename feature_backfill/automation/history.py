"""The job that wishes for history: the sensor `new_hours` then requests what is not stored, run by run.

So a backfill of many markets goes through the queue like all that the sensor requests: runs of a bounded number of
hours, as many at once as the queue and the machines allow, and what fails is asked for again.
"""

from collections.abc import Iterable, Mapping, Sequence

import dagster as dg
import pandas as pd
from pydantic import Field

from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.automation.jobs import job_name
from feature_backfill.automation.named import markets_named
from feature_backfill.automation.runs import NEW_HOURS
from feature_backfill.config import FeatureSet, Market
from feature_backfill.dagster_internals.notes import read_notes, write_notes
from feature_backfill.errors import UserError
from feature_backfill.hours import hour_of, partition_key
from feature_backfill.store.bounds import utc_bound

JOB = "history"


class HistoryConfig(dg.Config):
    """Whose history is wished for."""

    markets: list[str] = Field(default=[], description="Names of markets. Empty: all but those with automatic: false.")
    since: str = Field(default="", description="First hour, UTC: 2025-11-13T08:00. Empty: each market's first.")


def history_job(markets: Sequence[Market]) -> dg.JobDefinition:
    """Has the sensor see to all hours of markets, not only to new ones."""

    @dg.op(name=f"{JOB}_op", out=dg.Out(dg.Nothing))
    def history_op(context: dg.OpExecutionContext, config: HistoryConfig) -> None:
        with user_errors_fail_the_step():
            asked = markets_named(markets, config.markets) if config.markets else followed(markets)
            wish_history(context.instance, asked, utc_bound("since", config.since or None))
        context.log.info(f"the sensor {NEW_HOURS} requests what is not stored of {', '.join(m.name for m in asked)}")

    @dg.job(
        name=JOB,
        description=(
            f"History of many markets: from now on the sensor {NEW_HOURS} requests all hours of theirs that can be "
            "computed and are not stored, not only new ones. This run ends at once; the sensor's runs do the work."
        ),
        executor_def=dg.in_process_executor,
    )
    def history() -> None:
        history_op()

    return history


def wish_history(instance: dg.DagsterInstance, markets: Sequence[Market], since: pd.Timestamp | None) -> None:
    """Note from when on the sensor is to see to every hour. since: UTC-naive; None: from each market's first hour.

    An earlier hour that was wished for before stays.

    Raises UserError, and notes nothing, if the sensor leaves one of the markets or feature sets alone.
    """
    left = [
        f"{market.name}, {each.key}"
        for market in markets
        for each in market.feature_sets
        if each not in market.automatic_sets
    ]
    if left:
        raise UserError(
            f"automatic: false keeps the sensor {NEW_HOURS} from {'; '.join(left)}: name other markets, change the "
            "YAML, or use feature-backfill run"
        )
    wishes = {}
    for market in markets:
        first = market.first_hour if since is None else max(since.floor("h"), market.first_hour)
        wishes.update(dict.fromkeys((_note(market, each) for each in market.feature_sets), partition_key(first)))
    before = read_notes(instance, wishes)
    write_notes(instance, {name: min(first, before.get(name, first)) for name, first in wishes.items()})


def followed(markets: Iterable[Market]) -> list[Market]:
    """The markets that the sensor sees to, each without the feature sets that it leaves alone."""
    return [
        market.model_copy(update={"feature_sets": market.automatic_sets}) for market in markets if market.automatic_sets
    ]


def wished_history(instance: dg.DagsterInstance, markets: Iterable[Market]) -> Mapping[str, pd.Timestamp]:
    """From when on every hour is wished for, by the job of the feature set; only where there is such a wish."""
    names = {_note(market, each): job_name(market, each) for market in markets for each in market.feature_sets}
    return {names[name]: hour_of(first) for name, first in read_notes(instance, names).items()}


def _note(market: Market, feature_set: FeatureSet) -> str:
    return f"{JOB}/{job_name(market, feature_set)}"
