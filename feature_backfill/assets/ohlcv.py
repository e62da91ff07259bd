"""The hourly rows as an asset: never executed, its hours are reported by whoever brings the rows."""

import dagster as dg
import pandas as pd

from feature_backfill.assets.names import hourly_partitions, ohlcv_key
from feature_backfill.config import Market
from feature_backfill.event_log import report_runless
from feature_backfill.hours import last_closed_hour, partition_keys
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import ohlcv_hours


def ohlcv_asset(market: Market) -> dg.AssetSpec:
    """The source table; an hour that it lacks stays missing."""
    columns = [dg.TableColumn("timestamp", "timestamp", "opening time of the bar, UTC")]
    columns += [dg.TableColumn(name, "double") for name in ("open", "high", "low", "close", "volume")]
    return dg.AssetSpec(
        ohlcv_key(market),
        description=f"Hourly bars of {market.name}, read from table {market.source.table}. An hour that the table lacks stays missing.",
        group_name=market.name,
        kinds={"duckdb"},
        partitions_def=hourly_partitions(market),
        metadata={
            "dagster/table_name": market.source.table,
            "dagster/column_schema": dg.TableSchema(columns),
            "database": dg.MetadataValue.path(str(market.source.database)),
        },
    )


def report_ohlcv(instance: dg.DagsterInstance, market: Market, hours: pd.DatetimeIndex) -> int:
    """Report those of the hours that are closed and that the table holds, unless Dagster knows them; returns their number."""
    first, last = max(hours[0], market.first_hour), min(hours[-1], last_closed_hour())
    with connect(market.source.database, read_only=True) as connection:
        present = ohlcv_hours(connection, market.source.table, first, last)
    known = instance.get_materialized_partitions(ohlcv_key(market))
    keys = [key for key in partition_keys(present[present.isin(hours)]) if key not in known]
    report_runless(instance, [dg.AssetMaterialization(ohlcv_key(market), partition=key) for key in keys])
    return len(keys)
