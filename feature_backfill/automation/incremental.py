"""What a feature set's sensor asks for: the hours that can be computed, are not stored, and are not on their way."""

from dataclasses import dataclass
from textwrap import shorten

import pandas as pd
from pydantic import BaseModel

from feature_backfill.assets.decisions import plan_of
from feature_backfill.assets.names import features_key
from feature_backfill.automation.changes import database_state, digest, target_state
from feature_backfill.automation.jobs import job_name
from feature_backfill.automation.overtaken import show_overtaken
from feature_backfill.automation.runs import Runs, asked_for, failures_of, hours_on_their_way
from feature_backfill.config import FeatureSet, Market
from feature_backfill.hours import HOUR, hour_of, hour_range, last_closed_hour, partition_key
from feature_backfill.planning.plan import Plan
from feature_backfill.planning.ranges import Range, hours_of_ranges
from feature_backfill.planning.reach import first_watched_hour
from feature_backfill.planning.request import request_hours
from feature_backfill.planning.standing import whole_stretch
from feature_backfill.planning.wording import impossible_hours, request_message, watched_hours
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours
from feature_backfill.store.ohlcv import ohlcv_extent
from feature_backfill.store.targets import exists

KEPT_MESSAGE = 300
"""So many characters of a message go into the cursor."""


class Cursor(BaseModel):
    """What a tick remembers. since: the partition key of the hour from which on the sensor sees to every hour.

    settled: a digest of the state of databases and settings in which nothing was left to ask for; message: what was
    said of it, shortened. asked: a digest of the state of OHLCV and settings in which all there was to compute was
    asked for.
    """

    since: str | None = None
    asked: str = ""
    settled: str = ""
    message: str = ""


@dataclass(frozen=True)
class Tick:
    """What a tick comes to. ranges: to run, in time order. message: what is asked for, what is not, and why.

    failures: how many runs in a row failed on the unluckiest of the hours without a row. settled: whether nothing has
    changed since nothing was left to ask for.
    """

    ranges: list[Range]
    message: str
    cursor: Cursor
    failures: int = 0
    settled: bool = False

    @property
    def hours(self) -> pd.DatetimeIndex:
        """The hours to run, ascending."""
        return hours_of_ranges(self.ranges)


def next_request(
    runs: Runs,
    market: Market,
    feature_set: FeatureSet,
    cursor: Cursor,
    now: pd.Timestamp,
    wished: pd.Timestamp | None = None,
) -> Tick:
    """What to run now (UTC-naive). Looks into the databases only if something changed since nothing was left to do.

    wished: the hour from which on all history is wished for, if it is.

    Raises UserError if a database is missing, unreadable or taken.
    """
    job, asset = job_name(market, feature_set), features_key(market, feature_set)
    news = digest(
        database_state(market.source.database),
        partition_key(last_closed_hour(now)),
        feature_set.model_dump_json(),
        str(wished),
    )
    if cursor.asked == news and (moving := runs.of_new_hours(job)):
        return Tick([], f"{moving} hours are queued or being computed", cursor)
    state = digest(news, target_state(market.target), runs.last_run(asset))
    if cursor.settled == state:
        return Tick([], cursor.message, cursor, settled=True)
    extent, warm, stored = _ends(market, feature_set, last_closed_hour(now))
    if extent is None:
        return _nothing(cursor, state, f"{market.source.table} has no closed hour since {market.first_hour}")
    _, last = extent
    show_overtaken(runs, job, asset, stored)
    since = None if cursor.since is None else hour_of(cursor.since)
    first = first_watched_hour(stored, last, since, market.first_hour, wished)
    cursor = Cursor(since=partition_key(first))
    asked_before = asked_for(runs, job, asset)
    asked_before = asked_before[(asked_before >= market.first_hour) & (asked_before <= last)]
    watched = f"{first}, the first hour that this sensor watches"
    unstored = hour_range(first, last).union(asked_before).difference(stored)
    if unstored.empty:
        message = f"nothing to do since {watched}: all {len(hour_range(first, last))} hours stored up to {last}"
        return _nothing(cursor, state, message + watched_hours(first, warm, stored))
    plan = plan_of(market, feature_set, unstored)
    if plan.compute.empty:
        message = f"nothing to compute since {watched}, up to {last}{impossible_hours(plan)}"
        return _nothing(cursor, state, message + watched_hours(first, warm, stored))
    on_their_way = hours_on_their_way(runs, job, asset, plan.compute)
    failed = failures_of(runs, job, asset, plan.compute, now)
    request = request_hours(plan, stored, on_their_way, failed.waiting, feature_set.at_most)
    if request.ranges and not request.later:
        cursor = cursor.model_copy(update={"asked": news})
    return Tick(request.ranges, request_message(plan, request, failed.due), cursor, failed.most)


def newest_plan(market: Market, feature_set: FeatureSet, now: pd.Timestamp) -> Plan | None:
    """What a sensor would ask for now (UTC-naive) of the hours after the newest stored one, whoever else is at them.

    For the job that fetches: the row of an hour that has just closed must not wait for a long backfill.

    Returns a plan that ends with an hour to compute; None if there is none. Raises UserError as next_request does.
    """
    extent, _, stored = _ends(market, feature_set, last_closed_hour(now))
    if extent is None:
        return None
    _, last = extent
    unstored = hour_range(first_watched_hour(stored[-1:], last, None, market.first_hour), last).difference(stored)
    if unstored.empty:
        return None
    plan = plan_of(market, feature_set, unstored).at_most(feature_set.at_most)
    return None if plan.compute.empty else plan.until(plan.compute[-1])


def _ends(
    market: Market, feature_set: FeatureSet, last_closed: pd.Timestamp
) -> tuple[Range | None, pd.Timestamp, pd.DatetimeIndex]:
    """The first and the last closed hour of OHLCV since the market's first, None if it has none; the stored hours.

    Between them, the hour from which on no lookback begins before OHLCV does.
    """
    none = pd.DatetimeIndex([], dtype="datetime64[us]")
    with connect(market.source.database, read_only=True) as connection:
        extent = ohlcv_extent(connection, market.source.table, end=last_closed)
    if extent is None:
        return None, market.first_hour, none
    warm = max(market.first_hour, extent[0] + (feature_set.lookback.hours - 1) * HOUR)
    whole = whole_stretch(market.first_hour, extent, last_closed)
    if whole is None or not exists(market.target):
        return whole, warm, none
    with connect(market.target, read_only=True) as connection:
        return whole, warm, stored_hours(connection, feature_set.key, market.first_hour, whole[1])


def _nothing(cursor: Cursor, state: str, message: str) -> Tick:
    kept = shorten(message, KEPT_MESSAGE, placeholder=" ...")
    return Tick([], message, cursor.model_copy(update={"settled": state, "message": kept}))
