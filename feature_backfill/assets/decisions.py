"""Reads from a market's databases what a decision of planning rests on, and asks for it. Writes nothing."""

import pandas as pd

from feature_backfill.assets.joining import require_joinable
from feature_backfill.config import FeatureSet, Market
from feature_backfill.engine.bars import HourlyRows
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, hour_range, last_closed_hour
from feature_backfill.planning.counting import count_hours
from feature_backfill.planning.plan import Facts, Keep, Plan, plan_hours
from feature_backfill.planning.staleness import Staleness, staleness
from feature_backfill.planning.standing import Standing, split_at, whole_stretch
from feature_backfill.planning.wording import skip_lines
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours
from feature_backfill.store.inputs import stored_inputs
from feature_backfill.store.ohlcv import ohlcv_extent, read_ohlcv
from feature_backfill.store.targets import exists


def plan_of(market: Market, feature_set: FeatureSet, hours: pd.DatetimeIndex, keep: Keep = Keep.ALL) -> Plan:
    """What becomes of hours (UTC-naive, distinct, ascending, at least one).

    Raises UserError if a database is missing, unreadable or stays taken, or if rows of the feature set would not fit to
    those that its key has.
    """
    return plan_hours(feature_set, hours, _facts(market, feature_set, hours), keep)


def staleness_of(market: Market, feature_set: FeatureSet, stored: pd.DatetimeIndex) -> Staleness:
    """What is stale among stored hours (ascending). Raises UserError if there is none since the market's first hour."""
    stored = stored[stored >= market.first_hour]
    if stored.empty:
        raise UserError(
            f"nothing is stored under {feature_set.key} in {market.target} since {market.first_hour}; "
            "materialize some hours first"
        )
    facts = _facts(market, feature_set, stored)
    return staleness(feature_set, plan_hours(feature_set, stored, facts, Keep.CURRENT), stored, facts.inputs)


def standing_of(market: Market, feature_set: FeatureSet) -> Standing | None:
    """How a feature set stands now; None if no closed hour is stored, or OHLCV has no closed hour of the market."""
    closed = last_closed_hour()
    with connect(market.source.database, read_only=True) as connection:
        extent = ohlcv_extent(connection, market.source.table, end=closed)
    whole = None if extent is None else whole_stretch(market.first_hour, extent, closed)
    if whole is None or not exists(market.target):
        return None
    with connect(market.target, read_only=True) as connection:
        stored, ahead = split_at(stored_hours(connection, feature_set.key), closed)
    if stored.empty:
        return None
    first, last = whole
    hours = hour_range(first, last)
    missing = hours.difference(stored)
    plan = plan_of(market, feature_set, missing) if len(missing) else None
    counts = count_hours(plan, first, last, also_stored=len(hours) - len(missing))
    computable = missing[:0] if plan is None else plan.compute
    skipped = () if plan is None else tuple(skip_lines(plan.impossible))
    return Standing(stored[0], stored[-1], closed, last, counts, computable, skipped, ahead)


def _facts(market: Market, feature_set: FeatureSet, hours: pd.DatetimeIndex) -> Facts:
    """What the databases hold of hours, of their lookbacks, and of what comes after them."""
    require_joinable(market, feature_set)
    first, last, closed = hours[0], hours[-1], last_closed_hour()
    begin, columns = feature_set.lookback.first_hour(first), market.columns_of(feature_set)
    with connect(market.source.database, read_only=True) as connection:
        ohlcv = read_ohlcv(connection, market.source.table, begin, closed, columns)
        before = ohlcv_extent(connection, market.source.table, end=begin - HOUR)
    stored, inputs = hours[:0], None
    if exists(market.target):
        with connect(market.target, read_only=True) as connection:
            stored = stored_hours(connection, feature_set.key, first, last)
            inputs = stored_inputs(connection, feature_set.key, first, last)
    return Facts(HourlyRows.of(ohlcv, columns), stored, closed, None if before is None else before[1], inputs)
