"""Complete bars of each timeframe above 1H, kept in tables of the target database."""

from collections.abc import Iterator, Sequence

import dagster as dg
import numpy as np
import pandas as pd

from feature_backfill.assets.failures import told_to_the_operator
from feature_backfill.assets.late_rows import wait_for_rows
from feature_backfill.assets.names import bars_key, hourly_partitions, market_metadata, ohlcv_key, writer_pool
from feature_backfill.assets.ranges import hours_of_run
from feature_backfill.assets.target import TargetDatabase, target_key, target_of_run
from feature_backfill.config import Market
from feature_backfill.dagster_internals.reports import report_hours, reported_already
from feature_backfill.engine.bars import COLUMNS, complete_bars
from feature_backfill.engine.timeframes import HOURS_PER_BAR
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, partition_keys
from feature_backfill.store.bars import NO_BARS, bars_table, read_bars, write_bars
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import read_ohlcv

ROUNDING = 1e-12
"""Relative difference below which a stored bar is what the hourly rows give."""


def bars_asset(market: Market, timeframe: str) -> dg.AssetsDefinition:
    """The bars of one timeframe. A range refreshes the rows of its own hours and of the lookback before them.

    An hour in which no bar ends, or whose bar lacks an hour, adds no row and is up to date all the same.
    """

    @dg.asset(
        key=bars_key(market, timeframe),
        deps=[ohlcv_key(market)],
        description=f"Complete {timeframe} bars of {market.name}; the timestamp of a bar is its last hour.",
        group_name=market.name,
        kinds={"duckdb", "pandas"},
        owners=list(market.owners),
        partitions_def=hourly_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=writer_pool(market),
        required_resource_keys={target_key(market)},
        metadata={
            "dagster/table_name": bars_table(timeframe),
            "database": dg.MetadataValue.path(str(market.target_database)),
            **market_metadata(market),
        },
    )
    def bars(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        hours = hours_of_run(context)
        with told_to_the_operator():
            wait_for_rows(context, market, hours)
            first = hours[0] - (market.lookback_hours - 1) * HOUR
            count, written = _refresh_bars(target_of_run(context, market), market, timeframe, first, hours[-1])
        context.log.info(
            f"{bars_table(timeframe)} holds {count} bars of the range and its lookback, {written} rows written"
        )
        done = dg.AssetMaterialization(context.asset_key, metadata={"bars": count, "rows_written": written})
        report_hours(context, [(done, partition_keys(hours))])
        yield reported_already()

    return bars


def _refresh_bars(
    target: TargetDatabase, market: Market, timeframe: str, first: pd.Timestamp, last: pd.Timestamp
) -> tuple[int, int]:
    """Make the stored bars of first .. last those that OHLCV gives; returns (bars, rows written)."""
    before = HOURS_PER_BAR[timeframe] - 1
    with connect(market.source.database, read_only=True) as connection:
        ohlcv = read_ohlcv(connection, market.source.table, first - before * HOUR, last)
    built = complete_bars(ohlcv, timeframe)
    built = built[built["timestamp"] >= first]
    with target.get_connection() as connection:
        return len(built), write_bars(connection, timeframe, first, last, built)


def checked_bars(market: Market, ohlcv: pd.DataFrame, timeframes: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The stored bars, by timeframe, of the time that hourly rows cover, each of which must be what the rows give.

    Raises UserError, naming the asset and the hours to materialize, where one lacks or differs.
    """
    first, last = ohlcv["timestamp"].iloc[0], ohlcv["timestamp"].iloc[-1]
    stored = dict.fromkeys(timeframes, NO_BARS)
    if market.target_database.exists():
        with connect(market.target_database, read_only=True) as connection:
            stored = {timeframe: read_bars(connection, timeframe, first, last) for timeframe in timeframes}
    return {timeframe: _checked(market, timeframe, stored[timeframe], ohlcv) for timeframe in timeframes}


def _checked(market: Market, timeframe: str, stored: pd.DataFrame, ohlcv: pd.DataFrame) -> pd.DataFrame:
    lacking, differing, right = bars_against_ohlcv(complete_bars(ohlcv, timeframe), stored)
    for stamps, what in ((lacking, "lacks bars"), (differing, "has bars that disagree with OHLCV")):
        if len(stamps):
            raise UserError(
                f"{bars_table(timeframe)} {what}, {len(stamps)} from {stamps[0]} to {stamps[-1]}: "
                f"materialize {bars_key(market, timeframe).to_user_string()} for these hours, or with the features"
            )
    return stored[stored["timestamp"].isin(right)]


def bars_against_ohlcv(
    built: pd.DataFrame, stored: pd.DataFrame
) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex, pd.DatetimeIndex]:
    """The stamps of the bars that OHLCV gives: those not stored, those stored otherwise, those stored as they are.

    built, stored: rows x (timestamp, open, high, low, close, volume), of one timeframe.
    """
    both = built.merge(stored, on="timestamp", how="left", suffixes=("", "_stored"), indicator=True)
    lacking = both["_merge"] == "left_only"
    same = np.logical_and.reduce(
        [np.isclose(both[column], both[f"{column}_stored"], rtol=ROUNDING, atol=0) for column in COLUMNS]
    )
    stamps = pd.DatetimeIndex(both["timestamp"])
    return stamps[lacking], stamps[~lacking & ~same], stamps[same]
