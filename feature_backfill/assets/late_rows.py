"""How a run that the clock started waits for hourly rows that are late."""

import dagster as dg
import pandas as pd

from feature_backfill.config import Market
from feature_backfill.dagster_internals.failures import step_retry
from feature_backfill.errors import UserError
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import ohlcv_hours

WAIT_TAG = "feature_backfill/wait_for_rows"
"""Run tag. With the value "true", a step whose hours lack a row retries as the market's schedule says, then fails."""


def wait_for_rows(context: dg.AssetExecutionContext, market: Market, hours: pd.DatetimeIndex) -> None:
    """Put the step off while OHLCV lacks a row of its hours, if the run's tag asks for that.

    Raises RetryRequested, or UserError with the missing hours once the retries of the schedule are used up.
    """
    if context.run.tags.get(WAIT_TAG) != "true":
        return
    with connect(market.source.database, read_only=True) as connection:
        late = hours.difference(ohlcv_hours(connection, market.source.table, hours[0], hours[-1]))
    if late.empty:
        return
    schedule = market.schedule
    lacking = f"{market.source.table} of {market.source.database} has no row of {', '.join(map(str, late))} yet"
    if context.retry_number < schedule.retries:
        wait = f"looking again in {schedule.wait_seconds:g} s ({context.retry_number + 1} of {schedule.retries})"
        context.log.warning(f"{lacking}; {wait}")  # a console shows nothing of a retry
        raise step_retry(f"{lacking}; {wait}", schedule.retries, schedule.wait_seconds)
    raise UserError(
        f"{lacking}, after {schedule.retries} retries, {schedule.wait_seconds:g} s apart: see to what fills the table; "
        "the sensor asks for the hour once its row is there, or run this again"
    )
