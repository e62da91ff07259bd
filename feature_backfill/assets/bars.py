"""The assets of complete bars, one for each timeframe above 1H, in tables of the target database."""

from collections.abc import Iterator, Sequence

import dagster as dg
import numpy as np
import pandas as pd

from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.assets.late_rows import wait_for_rows
from feature_backfill.assets.names import bars_key, hourly_partitions, market_metadata, ohlcv_key, writer_pool
from feature_backfill.assets.ranges import hours_of_run
from feature_backfill.assets.target import TargetDatabase, target_key, target_of_run
from feature_backfill.config import Market
from feature_backfill.dagster_internals.reports import report_hours, reported_already
from feature_backfill.engine.bars import COLUMNS, HourlyRows, complete_bars
from feature_backfill.engine.timeframes import HOURS_PER_BAR
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, partition_keys
from feature_backfill.store.bars import NO_BARS, bars_table, read_bars, write_bars
from feature_backfill.store.contracts import claim_bars, require_bars_of
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import read_ohlcv

MOST_CORRECTED = 20
"""So many bars of a range may differ from OHLCV before the stored ones count as another market's."""

ROUNDING = 1e-12
"""Relative difference up to which a stored bar equals the bar that the hourly rows give."""


def bars_asset(market: Market, timeframe: str) -> dg.AssetsDefinition:
    """The bars of one timeframe. A run refreshes the bars of its hours and of the lookback before them.

    An hour adds no row if no bar ends with it or if its bar lacks an hour. It still counts as materialized.
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
        with user_errors_fail_the_step():
            wait_for_rows(context, market, hours)
            first = market.lookback.first_hour(hours[0])
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
    """Replace the stored bars from first to last by those that OHLCV gives. Returns (bars, rows written)."""
    before = HOURS_PER_BAR[timeframe] - 1
    with connect(market.source.database, read_only=True) as connection:
        ohlcv = read_ohlcv(connection, market.source.table, first - before * HOUR, last)
    built = complete_bars(HourlyRows.of(ohlcv), timeframe)
    built = built[built["timestamp"] >= first]
    with target.get_connection() as connection:
        require_bars_of(connection, market.ohlcv_identity)
        _require_own_bars(market, timeframe, built, read_bars(connection, timeframe, first, last))
        written = write_bars(connection, timeframe, first, last, built)
        claim_bars(connection, market.ohlcv_identity)
    return len(built), written


def _require_own_bars(market: Market, timeframe: str, built: pd.DataFrame, stored: pd.DataFrame) -> None:
    """Raise UserError if most of the stored bars are not what OHLCV gives: more than a correction ever changes."""
    _, differing, equal = bars_against_ohlcv(built, stored)
    if len(differing) > max(len(equal), MOST_CORRECTED):
        raise UserError(
            f"{len(differing)} of {len(differing) + len(equal)} bars in {bars_table(timeframe)} of "
            f"{market.target_database} are not what {market.ohlcv_identity} gives. If OHLCV was corrected as a whole, "
            f"drop the table {bars_table(timeframe)}; if these are the bars of another market, use another database"
        )


def checked_bars(market: Market, rows: HourlyRows, timeframes: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The stored bars of the time that hourly rows cover, by timeframe. Each must be the bar that the rows give.

    Raises UserError, naming the asset and the hours to materialize, where a bar is missing or differs.
    """
    first, last = rows.stamps[0], rows.stamps[-1]
    stored = dict.fromkeys(timeframes, NO_BARS)
    if market.target_database.exists():
        with connect(market.target_database, read_only=True) as connection:
            stored = {timeframe: read_bars(connection, timeframe, first, last) for timeframe in timeframes}
    return {timeframe: _checked(market, timeframe, stored[timeframe], rows) for timeframe in timeframes}


def _checked(market: Market, timeframe: str, stored: pd.DataFrame, rows: HourlyRows) -> pd.DataFrame:
    missing, differing, equal = bars_against_ohlcv(complete_bars(rows, timeframe), stored)
    for stamps, what in ((missing, "lacks bars"), (differing, "has bars that disagree with OHLCV")):
        if len(stamps):
            raise UserError(
                f"{bars_table(timeframe)} {what}, {len(stamps)} from {stamps[0]} to {stamps[-1]}: "
                f"materialize {bars_key(market, timeframe).to_user_string()} for these hours, or with the features"
            )
    return stored[stored["timestamp"].isin(equal)]


def bars_against_ohlcv(
    built: pd.DataFrame, stored: pd.DataFrame
) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex, pd.DatetimeIndex]:
    """Compare the bars that OHLCV gives with the stored ones. Returns the stamps of missing, differing, and equal bars.

    built: bars that OHLCV gives; stored: bars of the table. Both are of one timeframe, bars x (timestamp, open, high,
    low, close, volume).
    """
    both = built.merge(stored, on="timestamp", how="left", suffixes=("", "_stored"), indicator=True)
    missing = both["_merge"] == "left_only"
    equal = np.logical_and.reduce(
        [np.isclose(both[column], both[f"{column}_stored"], rtol=ROUNDING, atol=0) for column in COLUMNS]
    )
    stamps = pd.DatetimeIndex(both["timestamp"])
    return stamps[missing], stamps[~missing & ~equal], stamps[equal]
