"""The assets of complete bars, one for each timeframe above 1H, in tables of the target database."""

from collections.abc import Iterator, Sequence
from itertools import chain

import dagster as dg
import duckdb
import numpy as np
import pandas as pd

from feature_backfill.assets.bar_events import bar_events
from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.assets.late_rows import wait_for_rows
from feature_backfill.assets.names import bars_key, hourly_partitions, market_metadata, ohlcv_key, writer_pool
from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.assets.ranges import hours_of_run
from feature_backfill.assets.target import TARGETS, target_of_run
from feature_backfill.config import Market
from feature_backfill.dagster_internals.partition_status import forget_failures
from feature_backfill.dagster_internals.reports import StepContext, report_hours, reported_already
from feature_backfill.dagster_internals.versions import newest_event, read_at
from feature_backfill.engine.bars import COLUMNS, HourlyRows, complete_bars
from feature_backfill.engine.timeframes import HOURS_PER_BAR
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, partition_keys
from feature_backfill.store.bars import NO_BARS, bars_table, read_bars, write_bars
from feature_backfill.store.contracts import claim_bars, require_bars_of
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import read_ohlcv
from feature_backfill.store.targets import exists

MOST_CORRECTED = 20
"""So many bars of a range may differ from OHLCV before the stored ones count as another market's."""

ROUNDING = 1e-12
"""Relative difference up to which a stored bar equals the bar that the hourly rows give."""


def bars_assets(market: Market) -> list[dg.AssetsDefinition]:
    """The bars of each timeframe above 1H that a feature set uses: assets of their own, refreshed in one step.

    A run refreshes the bars of its hours and of the lookback before them. An hour that OHLCV has is then materialized,
    whether a bar ends with it or not; an hour that OHLCV lacks stays missing.
    """
    if not market.bar_timeframes:
        return []

    @dg.multi_asset(
        name=f"{market.name}__bars",
        specs=[_bars_spec(market, timeframe) for timeframe in market.bar_timeframes],
        can_subset=True,
        partitions_def=hourly_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=writer_pool(market),
        required_resource_keys={TARGETS},
    )
    def bars(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        hours = hours_of_run(context)
        timeframes = [name for name in market.bar_timeframes if bars_key(market, name) in context.selected_asset_keys]
        with user_errors_fail_the_step():
            wait_for_rows(context, market, hours)
            report_ohlcv(context.instance, market, hours)
            refresh_bars(context, market, timeframes, hours)
        for timeframe in timeframes:
            yield reported_already(bars_key(market, timeframe))

    return [bars]


def refresh_bars(
    context: StepContext,
    market: Market,
    timeframes: Sequence[str],
    hours: pd.DatetimeIndex,
) -> None:
    """Refresh the bars of hours (ascending, at least one) and of the lookback before them; report the hours.

    context: of a step that requires TARGETS. Raises UserError or RunError.
    """
    if not timeframes:
        return
    versions = read_at(newest_event(context.instance), [ohlcv_key(market)])
    rows = _rows_of_bars(market, hours, max(HOURS_PER_BAR[timeframe] for timeframe in timeframes))
    absent = partition_keys(hours.difference(rows.stamps))
    built = {timeframe: complete_bars(rows, timeframe) for timeframe in timeframes}
    with target_of_run(context, market).get_connection() as connection:  # once: to open takes longer than to write
        require_bars_of(connection, market.ohlcv_identity)
        written = {name: _replace_bars(connection, market, name, hours, bars) for name, bars in built.items()}
    # At once: each report and each line of the log is a transaction of its own.
    context.log.info(", ".join(f"{bars_table(name)}: {count} rows written" for name, count in written.items()))
    keys = {timeframe: bars_key(market, timeframe) for timeframe in built}
    events = [bar_events(keys[timeframe], rows, hours, bars, versions) for timeframe, bars in built.items()]
    report_hours(context, list(chain.from_iterable(events)))
    for key in keys.values():
        forget_failures(context.instance, key, hourly_partitions(market), absent)


def _bars_spec(market: Market, timeframe: str) -> dg.AssetSpec:
    columns = [dg.TableColumn("timestamp", "timestamp", "the bar's last hour, UTC")]
    columns += [dg.TableColumn(name, "double") for name in COLUMNS]
    return dg.AssetSpec(
        bars_key(market, timeframe),
        deps=[ohlcv_key(market)],
        description=(
            f"Complete {timeframe} bars of {market.name}. An hour that OHLCV lacks stays missing; a bar is complete if "
            "OHLCV has each of its hours."
        ),
        group_name=market.name,
        kinds={"duckdb", "pandas"},
        owners=list(market.owners),
        metadata={
            "dagster/table_name": bars_table(timeframe),
            "dagster/column_schema": dg.TableSchema(columns),
            "database": dg.MetadataValue.path(str(market.target)),
            **market_metadata(market),
        },
    )


def _rows_of_bars(market: Market, hours: pd.DatetimeIndex, longest: int) -> HourlyRows:
    """The hourly rows of the bars that end in the hours or in the lookback before them; longest: hours of a bar."""
    first = market.lookback.first_hour(hours[0]) - (longest - 1) * HOUR
    with connect(market.source.database, read_only=True) as connection:
        return HourlyRows.of(read_ohlcv(connection, market.source.table, first, hours[-1]))


def _replace_bars(
    connection: duckdb.DuckDBPyConnection, market: Market, timeframe: str, hours: pd.DatetimeIndex, built: pd.DataFrame
) -> int:
    """Replace the stored bars of the hours and of their lookback by those that OHLCV gives. Returns rows written."""
    first, last = market.lookback.first_hour(hours[0]), hours[-1]
    built = built[built["timestamp"] >= first]
    _require_own_bars(market, timeframe, built, read_bars(connection, timeframe, first, last))
    written = write_bars(connection, timeframe, first, last, built)
    claim_bars(connection, market.ohlcv_identity)
    return written


def _require_own_bars(market: Market, timeframe: str, built: pd.DataFrame, stored: pd.DataFrame) -> None:
    """Raise UserError if most of the stored bars are not what OHLCV gives: more than a correction ever changes."""
    _, differing, equal = bars_against_ohlcv(built, stored)
    if len(differing) > max(len(equal), MOST_CORRECTED):
        raise UserError(
            f"{len(differing)} of {len(differing) + len(equal)} bars in {bars_table(timeframe)} of "
            f"{market.target} are not what {market.ohlcv_identity} gives. If OHLCV was corrected as a whole, "
            f"drop the table {bars_table(timeframe)}; if these are the bars of another market, use another database"
        )


def checked_bars(market: Market, rows: HourlyRows, timeframes: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The stored bars of the time that hourly rows cover, by timeframe. Each must be the bar that the rows give.

    Raises UserError, naming the asset and the hours to materialize, where a bar is missing or differs.
    """
    first, last = rows.stamps[0], rows.stamps[-1]
    stored = dict.fromkeys(timeframes, NO_BARS)
    if exists(market.target):
        with connect(market.target, read_only=True) as connection:
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
    stamps = pd.DatetimeIndex(built["timestamp"])
    at = pd.DatetimeIndex(stored["timestamp"]).get_indexer(stamps)
    missing = at < 0
    values = stored[list(COLUMNS)].to_numpy(dtype=float)
    values = values[at] if len(values) else np.full((len(stamps), len(COLUMNS)), np.nan)
    same = np.isclose(built[list(COLUMNS)].to_numpy(dtype=float), values, rtol=ROUNDING, atol=0)
    equal = ~missing & same.all(axis=1)
    return stamps[missing], stamps[~missing & ~equal], stamps[equal]
