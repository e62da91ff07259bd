"""How far are the stored rows behind the clock?

Neither Dagster's freshness policies nor `build_last_update_freshness_checks`, which they supersede, answer this: both
go by when the last materialization was recorded, of whatever hour. A backfill of old hours, or an hour that is kept and
reported once more, would make a feature set fresh whose newest row is a week old.
"""

import math

import dagster as dg

from feature_backfill.checks.rows import hours_with_rows
from feature_backfill.config import FeatureSet, Market
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, last_closed_hour
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import ohlcv_extent


def allowed_hours(market: Market) -> int:
    """How many closed hours may lack their row: those for which the market's schedule still waits, at least one.

    The hour that has just closed may be on its way at any moment; with the usual schedule the one before it is not.
    """
    schedule = market.schedule
    return max(1, math.ceil((60 * schedule.minute + schedule.retries * schedule.wait_seconds) / 3600))


def freshness(market: Market, feature_set: FeatureSet) -> dg.AssetCheckResult:
    """The newest stored hour is no more than the allowed number of hours behind the last closed one.

    An error: who trades on the newest row has none.
    """
    with connect(market.source.database, read_only=True) as connection:
        extent = ohlcv_extent(connection, market.source.table)
    if extent is None:
        raise UserError(f"table {market.source.table} of {market.source.database} is empty: see to what fills it")
    newest = hours_with_rows(market, feature_set)[-1]
    closed = last_closed_hour()
    ohlcv_ends = min(extent[1], closed)
    behind_clock, behind_ohlcv = (max(0, int((end - newest) / HOUR)) for end in (closed, ohlcv_ends))
    allowed = allowed_hours(market)
    told = f"the newest row is of {newest}, {behind_clock} hours behind the last closed hour (allowed: {allowed})"
    if behind_ohlcv > allowed:
        told += f"; {market.source.table} goes to {ohlcv_ends}: see what the sensor says of the hours between"
    elif behind_clock > allowed:
        told += f"; {market.source.table} ends with {ohlcv_ends}: see to what fills it"
    return dg.AssetCheckResult(
        passed=behind_clock <= allowed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=told,
        metadata={
            "newest_stored_hour": str(newest),
            "hours_behind_clock": behind_clock,
            "hours_behind_ohlcv": behind_ohlcv,
            "hours_allowed": allowed,
        },
    )
