"""What a feature set's sensor asks for: the hours that can be computed, are not stored, and are not on their way."""

from dataclasses import dataclass
from textwrap import shorten

import dagster as dg
import pandas as pd
from pydantic import BaseModel

from feature_backfill.assets.decisions import plan_of
from feature_backfill.assets.names import features_key
from feature_backfill.automation.changes import database_state, digest
from feature_backfill.automation.jobs import job_name
from feature_backfill.automation.overtaken import show_overtaken
from feature_backfill.automation.runs import asked_for, hours_on_their_way, waiting_hours
from feature_backfill.config import FeatureSet, Market
from feature_backfill.hours import hour_of, hour_range, last_closed_hour, partition_key
from feature_backfill.planning.plan import Plan
from feature_backfill.planning.ranges import Range
from feature_backfill.planning.reach import first_watched_hour
from feature_backfill.planning.request import request_hours
from feature_backfill.planning.standing import whole_stretch
from feature_backfill.planning.wording import impossible_hours, request_message, watched_hours
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours
from feature_backfill.store.ohlcv import ohlcv_extent

PATIENCE_S = 5.0
"""How long a tick waits for a database that is taken; the next tick tries again."""

KEPT_MESSAGE = 300
"""So many characters of a message go into the cursor."""


class Cursor(BaseModel):
    """What a tick remembers. since: the partition key of the hour from which on the sensor sees to every hour.

    settled: a digest of the state of databases and settings in which nothing was left to ask for; message: what was
    said of it, shortened.
    """

    since: str | None = None
    settled: str = ""
    message: str = ""


@dataclass(frozen=True)
class Tick:
    """What a tick comes to. ranges: to run, in time order. message: what is asked for, what is not, and why."""

    ranges: list[Range]
    message: str
    cursor: Cursor


def next_request(
    instance: dg.DagsterInstance, market: Market, feature_set: FeatureSet, cursor: Cursor, now: pd.Timestamp
) -> Tick:
    """What to run now (UTC-naive). Looks into the databases only if something changed since nothing was left to do.

    Raises UserError if a database is missing, unreadable or taken.
    """
    state = digest(
        *(database_state(path) for path in (market.source.database, market.target_database)),
        partition_key(last_closed_hour(now)),
        feature_set.model_dump_json(),
        _last_run(instance, features_key(market, feature_set)),
    )
    if cursor.settled == state:
        return Tick([], cursor.message, cursor)
    extent, stored = _ends(market, feature_set, last_closed_hour(now))
    if extent is None:
        return _nothing(cursor, state, f"{market.source.table} has no closed hour since {market.first_hour}")
    begins, last = extent
    show_overtaken(instance, job_name(market, feature_set), features_key(market, feature_set), stored)
    since = None if cursor.since is None else hour_of(cursor.since)
    first = first_watched_hour(stored, last, since, market.first_hour)
    cursor = Cursor(since=partition_key(first))
    asked_before = asked_for(instance, job_name(market, feature_set), features_key(market, feature_set))
    asked_before = asked_before[(asked_before >= market.first_hour) & (asked_before <= last)]
    watched = f"{first}, the first hour that this sensor watches"
    unstored = hour_range(first, last).union(asked_before).difference(stored)
    if unstored.empty:
        message = f"nothing to do since {watched}: all {len(hour_range(first, last))} hours stored up to {last}"
        return _nothing(cursor, state, message + watched_hours(first, begins, stored))
    plan = plan_of(market, feature_set, unstored)
    if plan.compute.empty:
        message = f"nothing to compute since {watched}, up to {last}{impossible_hours(plan)}"
        return _nothing(cursor, state, message + watched_hours(first, begins, stored))
    return _request(instance, market, feature_set, plan, stored, now, cursor)


def newest_plan(market: Market, feature_set: FeatureSet, now: pd.Timestamp) -> Plan | None:
    """What a sensor would ask for now (UTC-naive) of the hours after the newest stored one, whoever else is at them.

    For the job that fetches: the row of an hour that has just closed must not wait for a long backfill.

    Returns a plan that ends with an hour to compute; None if there is none. Raises UserError as next_request does.
    """
    extent, stored = _ends(market, feature_set, last_closed_hour(now))
    if extent is None:
        return None
    _, last = extent
    unstored = hour_range(first_watched_hour(stored[-1:], last, None, market.first_hour), last).difference(stored)
    if unstored.empty:
        return None
    plan = plan_of(market, feature_set, unstored).at_most(feature_set.at_most)
    return None if plan.compute.empty else plan.until(plan.compute[-1])


def _request(
    instance: dg.DagsterInstance,
    market: Market,
    feature_set: FeatureSet,
    plan: Plan,
    stored: pd.DatetimeIndex,
    now: pd.Timestamp,
    cursor: Cursor,
) -> Tick:
    """Ask for the plan's hours without those on their way and those that wait after a failure."""
    job, key = job_name(market, feature_set), features_key(market, feature_set)
    moving = hours_on_their_way(instance, job, key, plan.compute)
    waiting, due = waiting_hours(instance, job, key, plan.compute, now)
    request = request_hours(plan, stored, moving, waiting, feature_set.at_most)
    return Tick(request.ranges, request_message(plan, request, due), cursor)


def _last_run(instance: dg.DagsterInstance, asset: dg.AssetKey) -> str:
    """The id of the last run that was to materialize an asset. If it failed, it may have left hours to ask for."""
    record = next(iter(instance.get_asset_records([asset])), None)
    return (record.asset_entry.last_run_id if record else None) or ""


def _ends(market: Market, feature_set: FeatureSet, last_closed: pd.Timestamp) -> tuple[Range | None, pd.DatetimeIndex]:
    """The first and the last closed hour of OHLCV since the market's first, None if it has none; the stored ones."""
    none = pd.DatetimeIndex([], dtype="datetime64[us]")
    with connect(market.source.database, read_only=True, patience=PATIENCE_S) as connection:
        extent = ohlcv_extent(connection, market.source.table, end=last_closed)
    whole = None if extent is None else whole_stretch(market.first_hour, extent, last_closed)
    if whole is None or not market.target_database.exists():
        return whole, none
    with connect(market.target_database, read_only=True, patience=PATIENCE_S) as connection:
        return whole, stored_hours(connection, feature_set.key, market.first_hour, whole[1])


def _nothing(cursor: Cursor, state: str, message: str) -> Tick:
    kept = shorten(message, KEPT_MESSAGE, placeholder=" ...")
    return Tick([], message, cursor.model_copy(update={"settled": state, "message": kept}))
