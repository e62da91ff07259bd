"""Dagster's view brought together with the tables, which can part after a crash, a restore, or SQL by hand.

A repair writes records of Dagster's only, never a row: what is stored shows as materialized, what is not as missing.

* OHLCV and features: an hour agrees if it has a row. One that a later run failed on has it still, and is shown anew.
* Bars: an hour agrees if OHLCV has its row, if the bar that ends with it, where OHLCV gives one, is stored with the
  values that OHLCV gives, and if none is stored where it gives none. Stored bars do not tell which hours were asked
  for, since a run refreshes those of its lookback as well; so bars are reported for the hours of the stored features
  that rest on them.

Safe at any time. A run stores rows, then reports them: whoever asks Dagster first and the tables second sees a row for
every hour that Dagster shows, unless it was deleted. What is reported after the question is never taken back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
import pandas as pd
from pydantic import Field

from feature_backfill.assets.bars import bars_against_ohlcv
from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.assets.joining import require_own_asset
from feature_backfill.assets.names import bars_key, features_key, hourly_partitions, ohlcv_key
from feature_backfill.automation.named import markets_named
from feature_backfill.automation.overtaken import report_found
from feature_backfill.config import Market
from feature_backfill.dagster_internals.orphans import end_orphans
from feature_backfill.dagster_internals.partition_status import (
    drop_stale_status,
    newest_materializations,
    newest_plans,
)
from feature_backfill.dagster_internals.partition_wipe import wipe_partitions
from feature_backfill.engine.bars import HourlyRows, complete_bars
from feature_backfill.errors import ErrorsNoted
from feature_backfill.hours import hours_of, last_closed_hour, partition_keys
from feature_backfill.store.bars import read_bars
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours
from feature_backfill.store.ohlcv import ohlcv_hours, read_ohlcv
from feature_backfill.store.targets import exists, require_place

NO_LONGER_STORED, NO_LONGER_RIGHT = "no longer stored", "whose row or bar is gone or differs from OHLCV"


@dataclass(frozen=True)
class Shown:
    """What Dagster shows of an asset: materialized hours, ascending, and the id of the newest event that says so.

    overtaken: those of them that a later run meant to materialize and did not; they read failed if it failed.
    """

    hours: pd.DatetimeIndex
    newest_event: int
    overtaken: pd.DatetimeIndex


@dataclass(frozen=True)
class Tables:
    """What is stored of a market: hours of OHLCV and of each feature key; of each timeframe, the stamps of bars that
    lack or are not what OHLCV gives."""

    ohlcv: pd.DatetimeIndex
    features: Mapping[str, pd.DatetimeIndex]
    wrong_bars: Mapping[str, pd.DatetimeIndex]


@dataclass(frozen=True)
class Difference:
    """How Dagster's view of an asset differs from the tables, before the repair.

    unshown: hours to report; gone: hours to show as missing, and why; agreeing: number of hours that agree.
    """

    asset: dg.AssetKey
    unshown: pd.DatetimeIndex
    gone: pd.DatetimeIndex
    agreeing: int
    why_gone: str = NO_LONGER_STORED

    def summary(self, dry_run: bool) -> str:
        """One line: `demo/features/x: 12 hours reported, 3 no longer stored, 4,000 in order`."""
        reported = "to report" if dry_run else "reported"
        return (
            f"{self.asset.to_user_string()}: {len(self.unshown):,} hours {reported}, "
            f"{len(self.gone):,} {self.why_gone}, {self.agreeing:,} in order"
        )


JOB = "repair"


class RepairConfig(dg.Config):
    """Options of the repair."""

    markets: list[str] = Field(default=[], description="Names of markets. Empty: all.")
    dry_run: bool = Field(default=False, description="Say what would be done, change nothing.")


def repair_job(markets: Sequence[Market]) -> dg.JobDefinition:
    """The repair of markets. It takes no slot of their pools: it frees those that killed runs keep."""

    @dg.op(name=f"{JOB}_op", out=dg.Out(dg.Nothing))
    def repair_op(context: dg.OpExecutionContext, config: RepairConfig) -> None:
        errors = ErrorsNoted()
        with user_errors_fail_the_step():
            for run_id in end_orphans(context.instance, config.dry_run):
                context.log.info(f"run {run_id}: its process is gone")
            for market in markets_named(markets, config.markets):
                with errors.noted():
                    for difference in repair(context.instance, market, config.dry_run):
                        context.log.info(difference.summary(config.dry_run))
            errors.raise_all()

    @dg.job(
        name=JOB,
        description=(
            "Makes Dagster's view of markets agree with their tables: stored hours show as materialized, hours whose "
            "row is gone as missing. Writes no row; safe at any time. The log says what was found."
        ),
        executor_def=dg.in_process_executor,
    )
    def repair_markets() -> None:
        repair_op()

    return repair_markets


def repair(instance: dg.DagsterInstance, market: Market, dry_run: bool = False) -> list[Difference]:
    """Make Dagster's view of a market's partitions agree with its tables; returns what differed, an item an asset.

    Raises UserError if the source is missing or unreadable, a database stays taken, the target's folder is missing, or
    two keys with rows share an asset.
    """
    assets = [
        ohlcv_key(market),
        *(bars_key(market, timeframe) for timeframe in market.bar_timeframes),
        *(features_key(market, feature_set) for feature_set in market.feature_sets),
    ]
    shown = {asset: _shown(instance, market, asset) for asset in assets}
    differences = _differences(market, shown, _tables(market))
    if not dry_run:
        for difference in differences:
            _mend(instance, market, difference, shown[difference.asset])
    return differences


def _shown(instance: dg.DagsterInstance, market: Market, asset: dg.AssetKey) -> Shown:
    events, planned = newest_materializations(instance, asset), newest_plans(instance, asset)
    overtaken = [key for key, event in events.items() if planned.get(key, 0) > event]
    hours, failed = (_partitions(market, hours_of(keys)) for keys in (events, overtaken))
    return Shown(hours, max(events.values(), default=0), failed)


def _partitions(market: Market, hours: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Those of the hours (ascending) that are partitions of the market's assets."""
    existing = (hours >= market.first_hour) & (hours <= last_closed_hour()) & (hours == hours.floor("h"))
    return hours[existing]


def _tables(market: Market) -> Tables:
    last = last_closed_hour()
    with connect(market.source.database, read_only=True) as connection:
        hours = ohlcv_hours(connection, market.source.table, market.first_hour, last)
        rows = HourlyRows.of(read_ohlcv(connection, market.source.table, end=last))
    target = market.target
    require_place(target)
    bars = {timeframe: complete_bars(rows, timeframe) for timeframe in market.bar_timeframes}
    if not exists(target):
        lacking = {timeframe: pd.DatetimeIndex(built["timestamp"]) for timeframe, built in bars.items()}
        return Tables(hours, {feature_set.key: hours[:0] for feature_set in market.feature_sets}, lacking)
    with connect(target, read_only=True) as connection:
        for feature_set in market.feature_sets:
            require_own_asset(connection, feature_set)
        features = {
            feature_set.key: _partitions(market, stored_hours(connection, feature_set.key))
            for feature_set in market.feature_sets
        }
        wrong = {
            timeframe: _unlike(built, read_bars(connection, timeframe, market.first_hour, last))
            for timeframe, built in bars.items()
        }
    return Tables(hours, features, wrong)


def _unlike(built: pd.DataFrame, stored: pd.DataFrame) -> pd.DatetimeIndex:
    """The stamps of bars that are in one of the two only, or differ."""
    *_, right = bars_against_ohlcv(built, stored)
    return pd.DatetimeIndex(built["timestamp"]).union(pd.DatetimeIndex(stored["timestamp"])).difference(right)


def _differences(market: Market, shown: Mapping[dg.AssetKey, Shown], tables: Tables) -> list[Difference]:
    differences = [_of_rows(ohlcv_key(market), shown, tables.ohlcv)]
    for timeframe in market.bar_timeframes:
        asset, wrong = bars_key(market, timeframe), tables.wrong_bars[timeframe]
        resting = pd.DatetimeIndex([], dtype="datetime64[us]")
        for feature_set in market.feature_sets:
            if timeframe in feature_set.timeframes:
                resting = resting.union(tables.features[feature_set.key])
        hours, overtaken = shown[asset].hours, shown[asset].overtaken
        unshown = resting.difference(hours).union(overtaken).difference(wrong).intersection(tables.ohlcv)
        gone = hours.intersection(wrong).union(hours.difference(tables.ohlcv))
        agreeing = hours.difference(gone).difference(overtaken)
        differences.append(Difference(asset, unshown, gone, len(agreeing), NO_LONGER_RIGHT))
    for feature_set in market.feature_sets:
        differences.append(_of_rows(features_key(market, feature_set), shown, tables.features[feature_set.key]))
    return differences


def _of_rows(asset: dg.AssetKey, shown: Mapping[dg.AssetKey, Shown], stored: pd.DatetimeIndex) -> Difference:
    hours, overtaken = shown[asset].hours, shown[asset].overtaken
    agreeing = hours.intersection(stored).difference(overtaken)
    unshown = stored.difference(agreeing)
    return Difference(asset, unshown, hours.difference(stored), len(agreeing))


def _mend(instance: dg.DagsterInstance, market: Market, difference: Difference, shown: Shown) -> None:
    report_found(instance, difference.asset, difference.unshown)
    if len(difference.gone):
        wipe_partitions(instance, difference.asset, partition_keys(difference.gone), shown.newest_event)
    else:
        drop_stale_status(instance, difference.asset, hourly_partitions(market), len(shown.hours))
