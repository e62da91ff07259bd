"""Checks how far the newest stored row is behind the clock.

Dagster's freshness policies do not answer this question, and neither does the older
`build_last_update_freshness_checks`. Both look at the time of the last materialization, whichever hour it was for.
After a backfill of old hours they would call a feature set fresh although its newest row is a week old.
"""

import math

import dagster as dg
import pandas as pd

from feature_backfill.assets.lateness import why_late
from feature_backfill.assets.run_events import LATE
from feature_backfill.checks.rows import stored_rows
from feature_backfill.config import FeatureSet, Market
from feature_backfill.errors import UserError, counted
from feature_backfill.hours import HOUR, last_closed_hour
from feature_backfill.planning.standing import hours_between, rows_ahead, split_at
from feature_backfill.store.database import connect
from feature_backfill.store.features import created_at
from feature_backfill.store.ohlcv import ohlcv_extent


def allowed_hours(market: Market) -> int:
    """How many closed hours may lack a row: as many as the market's schedule may still be waiting for, at least one.

    The row of the hour that has just closed may still be on its way. With the default schedule, the row of the hour
    before it may not.
    """
    schedule = market.schedule
    return max(1, math.ceil((60 * schedule.minute + schedule.retries * schedule.wait_seconds) / 3600))


def freshness(market: Market, feature_set: FeatureSet) -> dg.AssetCheckResult:
    """The newest stored hour is at most the allowed number of hours behind the last closed hour.

    An error, because a model that trades on the newest row has no row to read.
    """
    closed, allowed = last_closed_hour(), allowed_hours(market)
    with connect(market.source.database, read_only=True) as connection:
        extent = ohlcv_extent(connection, market.source.table, end=closed)
    if extent is None:
        raise UserError(
            f"table {market.source.table} of {market.source.database} has no row of a closed hour; check what fills it"
        )
    with stored_rows(market, feature_set) as (connection, stored):
        known, ahead = split_at(stored, closed)
        if known.empty:
            raise UserError(f"{feature_set.key} has no row of a closed hour in {market.target}: {rows_ahead(ahead)}")
        newest, made = known[-1], created_at(connection, feature_set.key, known[-1])
    behind, ohlcv_behind = hours_between(newest, closed), hours_between(extent[1], closed)
    causes = why_late(market, feature_set, newest, extent[1], closed, allowed) if behind > allowed else []
    causes += [rows_ahead(ahead)] if len(ahead) else []
    hours = counted(behind, "hour")
    text = f"the newest row is {newest}, {hours} behind the last closed hour {closed} (allowed: {allowed})"
    return dg.AssetCheckResult(
        passed=behind <= allowed,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join([text, *causes]),
        metadata={
            "newest_stored_hour": str(newest),
            "hours_behind": behind,
            "ohlcv_hours_behind": ohlcv_behind,
            "hours_allowed": allowed,
            "rows_not_closed": len(ahead),
            **_lateness(newest, made),
        },
    )


def _lateness(newest: pd.Timestamp, made: pd.Timestamp | None) -> dict[str, float]:
    """How many seconds after the close of its bar the newest row was made; nothing if it was backfilled."""
    late = None if made is None else made - (newest + HOUR)
    return {} if late is None or late > LATE else {"seconds_late": late.total_seconds()}
