"""Why the newest row of a feature set is not that of the last closed hour: whose fault it is."""

import pandas as pd

from feature_backfill.assets.decisions import plan_of
from feature_backfill.config import FeatureSet, Market
from feature_backfill.errors import UserError, counted
from feature_backfill.hours import HOUR, hour_range
from feature_backfill.planning.standing import hours_between


def why_late(
    market: Market,
    feature_set: FeatureSet,
    newest: pd.Timestamp,
    ohlcv_ends: pd.Timestamp,
    closed: pd.Timestamp,
    allowed: int,
) -> list[str]:
    """The causes; none if nothing is late by more than the allowed number of hours.

    newest: the newest stored hour. ohlcv_ends: the last closed hour of OHLCV. closed: the last closed hour.
    """
    table, behind = market.source.table, hours_between(ohlcv_ends, closed)
    causes = []
    if behind > allowed:
        causes.append(
            f"{table} has stopped: it ends at {ohlcv_ends}, {counted(behind, 'hour')} behind; check what fills it"
        )
    if (late := hours_between(newest, ohlcv_ends)) > allowed:
        causes.append(_features_late(market, feature_set, newest, ohlcv_ends, late))
    return causes


def _features_late(
    market: Market, feature_set: FeatureSet, newest: pd.Timestamp, ohlcv_ends: pd.Timestamp, late: int
) -> str:
    """Why there is no row of the hours that OHLCV has since the newest stored one."""
    since = f"the {counted(late, 'hour')} of {market.source.table} since"
    try:
        plan = plan_of(market, feature_set, hour_range(newest + HOUR, ohlcv_ends))
    except UserError as error:
        return f"{since} cannot be computed: {error}"
    if plan.compute.empty:
        return f"{since} cannot be computed; of the newest: {plan.impossible.iloc[-1]}"
    hours = counted(late, "hour")
    return f"the features are late, {hours} behind {market.source.table}: see what the sensor says about them"
