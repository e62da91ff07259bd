"""What a feature set's sensor asks for: the hours that can be computed, are not stored, and are not on their way."""

from dataclasses import dataclass

import dagster as dg
import pandas as pd
from pydantic import BaseModel

from feature_backfill.assets.names import features_key
from feature_backfill.assets.plan import Plan, make_plan
from feature_backfill.automation.changes import database_state
from feature_backfill.automation.jobs import job_name
from feature_backfill.automation.runs import asked_for, hours_on_their_way, waiting_hours
from feature_backfill.config import FeatureSet, Market
from feature_backfill.engine.soundness import by_kind, details_of
from feature_backfill.hours import DEFAULT_REACH, contiguous_runs, hour_of, hour_range, last_closed_hour, partition_key
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours
from feature_backfill.store.ohlcv import ohlcv_extent

PATIENCE_S = 5.0
"""How long a tick waits for a database that is taken; the next tick tries again."""


class Cursor(BaseModel):
    """What a tick remembers. since: the partition key of the hour from which on the sensor sees to every hour.

    settled: the state of databases and settings in which nothing was left to ask for; message: what was said of it.
    """

    since: str | None = None
    settled: str = ""
    message: str = ""


@dataclass(frozen=True)
class Request:
    """Ranges (first and last hour) to run, in time order; message: what is asked for and what is not, and why."""

    ranges: list[tuple[pd.Timestamp, pd.Timestamp]]
    message: str
    cursor: Cursor


def next_request(
    instance: dg.DagsterInstance, market: Market, feature_set: FeatureSet, cursor: Cursor, now: pd.Timestamp
) -> Request:
    """What to run now (UTC-naive). Looks into the databases only if something changed since nothing was left to do.

    Raises UserError if a database is missing, unreadable or taken.
    """
    state = "; ".join(
        [
            *(database_state(path) for path in (market.source.database, market.target_database)),
            partition_key(last_closed_hour(now)),
            feature_set.model_dump_json(),
        ]
    )
    if cursor.settled == state:
        return Request([], cursor.message, cursor)
    last, stored = _ends(market, feature_set, last_closed_hour(now))
    if last is None:
        return _nothing(cursor, state, f"{market.source.table} has no closed hour since {market.first_hour}")
    first = _first_hour(market, cursor, stored, last)
    cursor = Cursor(since=partition_key(first))
    asked_before = asked_for(instance, job_name(market, feature_set), features_key(market, feature_set))
    asked_before = asked_before[(asked_before >= market.first_hour) & (asked_before <= last)]
    unstored = hour_range(first, last).union(asked_before).difference(stored)
    if unstored.empty:
        return _nothing(cursor, state, f"all stored up to {last}, the last closed hour of {market.source.table}")
    plan = make_plan(market, feature_set, unstored)
    if plan.compute.empty:
        return _nothing(cursor, state, f"nothing to compute up to {last}{_left_out(plan)}")
    return _request(instance, market, feature_set, plan, stored, now, cursor)


def _request(
    instance: dg.DagsterInstance,
    market: Market,
    feature_set: FeatureSet,
    plan: Plan,
    stored: pd.DatetimeIndex,
    now: pd.Timestamp,
    cursor: Cursor,
) -> Request:
    """The plan's hours without those on their way and those that wait after a failure, the oldest at_most of them."""
    job, key = job_name(market, feature_set), features_key(market, feature_set)
    moving = hours_on_their_way(instance, job, key, plan.compute)
    waiting, due = waiting_hours(instance, job, key, plan.compute, now)
    free = plan.compute.difference(moving).difference(waiting)
    asked = free[: feature_set.at_most]
    ranges = _ranges(plan, asked, moving.union(waiting), stored)
    told = [f"asked for {len(asked)} hours in {len(ranges)} runs, {asked[0]} .. {asked[-1]}"] if len(asked) else []
    told += [f"{len(free) - len(asked)} more in the next ticks"] if len(free) > len(asked) else []
    told += [f"{len(moving)} hours are queued or being computed"] if len(moving) else []
    told += [f"{len(waiting)} hours failed, asked for again from {due:%Y-%m-%d %H:%M} UTC"] if len(waiting) else []
    return Request(ranges, "; ".join(told) + _left_out(plan), cursor)


def _ends(
    market: Market, feature_set: FeatureSet, last_closed: pd.Timestamp
) -> tuple[pd.Timestamp | None, pd.DatetimeIndex]:
    """The last closed hour of OHLCV, None if it has none since the market's first, and the stored hours up to it."""
    none = pd.DatetimeIndex([], dtype="datetime64[us]")
    with connect(market.source.database, read_only=True, patience=PATIENCE_S) as connection:
        extent = ohlcv_extent(connection, market.source.table)
    last = None if extent is None else min(extent[1], last_closed)
    if last is None or last < market.first_hour:
        return None, none
    if not market.target_database.exists():
        return last, none
    with connect(market.target_database, read_only=True, patience=PATIENCE_S) as connection:
        return last, stored_hours(connection, feature_set.key, market.first_hour, last)


def _first_hour(market: Market, cursor: Cursor, stored: pd.DatetimeIndex, last: pd.Timestamp) -> pd.Timestamp:
    """From where on the sensor sees to every hour: the first stored when it first looked; if none is, 49 hours back.

    What is stored later before that hour does not move it: a backfill of some old hours is no wish for all between.
    """
    if stored.empty:
        return max(last - DEFAULT_REACH, market.first_hour)
    return min(stored[0] if cursor.since is None else max(hour_of(cursor.since), market.first_hour), last)


def _ranges(
    plan: Plan, asked: pd.DatetimeIndex, excluded: pd.DatetimeIndex, stored: pd.DatetimeIndex
) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """The asked hours as ranges without a stored or excluded hour.

    A range goes over hours that cannot be computed; ahead of the stored ones it also begins with them, so that the run
    records their reasons.
    """
    if asked.empty:
        return []
    open_hours = plan.unstored.union(plan.absent).difference(excluded)
    ranges = []
    for first, last in contiguous_runs(open_hours[open_hours <= asked[-1]]):
        inside = asked[(asked >= first) & (asked <= last)]
        if len(inside):
            ahead = stored.empty or first > stored[-1]
            ranges.append((first if ahead else inside[0], inside[-1]))
    return ranges


def _nothing(cursor: Cursor, state: str, message: str) -> Request:
    return Request([], message, cursor.model_copy(update={"settled": state, "message": message}))


def _left_out(plan: Plan) -> str:
    """How many hours cannot be computed and why, as the end of a message."""
    told = [
        f"{len(of_kind)} cannot be computed, {kind} (newest {of_kind.index[-1]}: {details_of(of_kind.iloc[-1])})"
        for kind, of_kind in by_kind(plan.skipped)
    ]
    told += [f"{len(plan.absent)} have no row in OHLCV (newest {plan.absent[-1]})"] if len(plan.absent) else []
    return "".join(f"; {part}" for part in told)
