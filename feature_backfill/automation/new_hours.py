"""The job that computes new hours of many markets in one run: one process, one step.

A run's start takes seconds, an hour of a market a fraction of one. Markets that wait for the same hours therefore share
runs. What one of them comes to is not the others' business: its error is noted, and fails the run when all is done.
"""

from collections.abc import Mapping, Sequence
from functools import reduce

import dagster as dg
import pandas as pd
from pydantic import Field

from feature_backfill.assets.bars import refresh_bars
from feature_backfill.assets.decisions import plan_of
from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.assets.rows import make_rows, upstream_of
from feature_backfill.assets.target import TARGETS
from feature_backfill.automation.jobs import job_name
from feature_backfill.automation.runs import NEW_HOURS
from feature_backfill.config import FeatureSet, Market
from feature_backfill.dagster_internals.listed_hours import hours_of_text
from feature_backfill.errors import DatabaseTakenError, ErrorsNoted, RunError, UserError, shortened
from feature_backfill.hours import last_closed_hour
from feature_backfill.planning.plan import Keep
from feature_backfill.store.database import connect
from feature_backfill.store.targets import exists

NAMED = 20
"""A failed run names so many of the markets that it failed for; its log names all."""


class NewHoursConfig(dg.Config):
    """Which hours a run computes."""

    hours: dict[str, str] = Field(
        description="Hours by the job of their feature set, `<market>__<key>`: 2025-11-13-08:00, or ranges "
        "2025-11-13-08:00...2025-11-13-20:00, with commas between."
    )
    overwrite: bool = Field(default=False, description="Compute stored hours again.")


def new_hours_config(hours: Mapping[str, str], keep: Keep = Keep.ALL) -> dict[str, object]:
    """The run config of a run over hours, given as NewHoursConfig has them. keep: all stored rows, or none."""
    config = {"hours": dict(hours), **({"overwrite": True} if keep is Keep.NONE else {})}
    return {"ops": {f"{NEW_HOURS}_op": {"config": config}}}


def new_hours_job(markets: Sequence[Market]) -> dg.JobDefinition:
    """Computes what is not stored of listed hours of any markets.

    It takes no slot of the markets' pools, of which an op can have one: as with the job that fetches, DuckDB's lock of
    a file lets one transaction in after the other, both would compute the same row of an hour, and a row that is equal
    to the stored one is not written again.
    """

    @dg.op(name=f"{NEW_HOURS}_op", required_resource_keys={TARGETS, "progress"}, out=dg.Out(dg.Nothing))
    def new_hours_op(context: dg.OpExecutionContext, config: NewHoursConfig) -> None:
        with user_errors_fail_the_step():
            make_all(context, _wanted(markets, config.hours), Keep.NONE if config.overwrite else Keep.ALL)

    @dg.job(
        name=NEW_HOURS,
        description=(
            "Bars and features of the hours that its config lists, of any markets, in one process. Hours that are "
            "stored already are kept. The sensor of this name starts it; for a backfill use the job of a feature set."
        ),
        executor_def=dg.in_process_executor,
    )
    def new_hours() -> None:
        new_hours_op()

    return new_hours


def make_all(
    context: dg.OpExecutionContext,
    wanted: Mapping[str, tuple[Market, dict[str, pd.DatetimeIndex]]],
    keep: Keep = Keep.ALL,
) -> None:
    """Make the wanted hours of each market. Markets whose database is taken come last.

    wanted: by the market's name, the market and the hours by feature key.

    Raises RunError at the end, naming the markets that did not go well, and why.
    """
    wrong: dict[str, str] = {}
    free = {name: _is_free(market) for name, (market, _) in wanted.items()}
    for name in sorted(wanted, key=lambda name: not free[name]):
        market, hours = wanted[name]
        try:
            _make(context, market, hours, keep)
        except (UserError, RunError) as error:
            wrong[name] = str(error)
        except Exception as error:  # a bug that one market brings to light must not keep the others waiting
            context.log.exception(f"{name} broke")
            wrong[name] = repr(error)
        if name in wrong:
            context.log.error(f"{name}: {wrong[name]}")
    if wrong:
        lines = shortened([f"{name}: {reason}" for name, reason in wrong.items()], NAMED)
        raise RunError(lines if len(wanted) == 1 else f"{len(wrong)} of {len(wanted)} markets failed: {lines}")


def _make(context: dg.OpExecutionContext, market: Market, hours: Mapping[str, pd.DatetimeIndex], keep: Keep) -> None:
    """Refresh the bars of a market, once for all its feature sets, then make the rows of each.

    Raises UserError or RunError once all has been tried: a feature set does not wait for another.
    """
    every = reduce(pd.DatetimeIndex.union, hours.values())
    feature_sets = [market.feature_set(key) for key in hours]
    timeframes = dict.fromkeys(name for feature_set in feature_sets for name in feature_set.bar_timeframes)
    report_ohlcv(context.instance, market, every)
    refresh_bars(context, market, list(timeframes), every)
    errors = ErrorsNoted()
    for feature_set in feature_sets:
        with errors.noted():
            upstream = upstream_of(context.instance, market, feature_set)
            make_rows(
                context, market, feature_set, plan_of(market, feature_set, hours[feature_set.key], keep), upstream
            )
    errors.raise_all()


def _wanted(
    markets: Sequence[Market], hours: Mapping[str, str]
) -> dict[str, tuple[Market, dict[str, pd.DatetimeIndex]]]:
    """The hours of a config by market and feature key. Raises UserError for a name or a text that means nothing."""
    known: dict[str, tuple[Market, FeatureSet]] = {
        job_name(market, feature_set): (market, feature_set)
        for market in markets
        for feature_set in market.feature_sets
    }
    unknown = sorted(hours.keys() - known.keys())
    if unknown:
        raise UserError(f"no feature set has the job {', '.join(unknown)}; name jobs of configs/, `<market>__<key>`")
    wanted: dict[str, tuple[Market, dict[str, pd.DatetimeIndex]]] = {}
    for name, text in hours.items():
        market, feature_set = known[name]
        try:
            meant = hours_of_text(text)
        except ValueError as error:
            raise UserError(f"hours of {name}: {error}; write for example 2025-11-13-08:00") from error
        if meant[0] < market.first_hour or meant[-1] > last_closed_hour():
            raise UserError(
                f"hours of {name}: {meant[0]} .. {meant[-1]} are not all closed hours since {market.first_hour}"
            )
        wanted.setdefault(market.name, (market, {}))[1][feature_set.key] = meant
    return wanted


def _is_free(market: Market) -> bool:
    """Whether both databases of a market can be opened at once. What else is wrong with them is found out later."""
    for database, read_only in ((market.source.database, True), (market.target, False)):
        if exists(database):
            try:
                with connect(database, read_only=read_only, patience=0):
                    pass
            except DatabaseTakenError:
                return False
            except (UserError, RunError):
                return True
    return True
