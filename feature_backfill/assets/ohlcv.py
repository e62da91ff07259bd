"""The asset of the hourly rows. Nothing executes it: whoever brings rows reports their hours."""

import dagster as dg
import pandas as pd

from feature_backfill.assets.names import asset_link, checks_key, hourly_partitions, market_metadata, ohlcv_key
from feature_backfill.config import Market
from feature_backfill.dagster_internals.partition_status import newest_materializations
from feature_backfill.dagster_internals.reports import report_runless
from feature_backfill.engine.bars import COLUMNS
from feature_backfill.hours import last_closed_hour, partition_keys
from feature_backfill.store.database import PATIENCE_S, connect
from feature_backfill.store.ohlcv import ohlcv_extent, ohlcv_hours

FEW_HOURS = 100
"""Up to this many hours, Dagster is asked about these alone; above it, about all of the asset."""


def ohlcv_asset(market: Market) -> dg.AssetSpec:
    """The source table. An hour without a row stays missing."""
    columns = [dg.TableColumn("timestamp", "timestamp", "opening time of the bar, UTC")]
    columns += [dg.TableColumn(name, "double") for name in COLUMNS]
    filled = f"imported from the files of {market.source.folder}" if market.source.folder else "filled by somebody else"
    return dg.AssetSpec(
        ohlcv_key(market),
        description=(
            f"Hourly bars of {market.name} in table {market.source.table}, {filled}. "
            "An hour that the table lacks stays missing, and turns green once it is filled. "
            f"Its checks are on {asset_link(checks_key(ohlcv_key(market)), 'checks')}."
        ),
        group_name=market.name,
        kinds={"duckdb"},
        owners=list(market.owners),
        partitions_def=hourly_partitions(market),
        metadata={
            "checks": dg.MetadataValue.asset(checks_key(ohlcv_key(market))),
            "dagster/table_name": market.source.table,
            "dagster/column_schema": dg.TableSchema(columns),
            "database": dg.MetadataValue.path(str(market.source.database)),
            **({"folder": dg.MetadataValue.path(str(market.source.folder))} if market.source.folder else {}),
            **market_metadata(market),
        },
    )


def unreported_hours(
    instance: dg.DagsterInstance,
    market: Market,
    hours: pd.DatetimeIndex | None = None,
    patience: float = PATIENCE_S,
) -> pd.DatetimeIndex:
    """The closed hours that the table holds and that Dagster does not show as materialized.

    hours: look at these only, in any order; by default at all. patience: seconds to wait for a database in use.
    """
    with connect(market.source.database, read_only=True, patience=patience) as connection:
        extent = ohlcv_extent(connection, market.source.table) if hours is None else (hours.min(), hours.max())
        if extent is None:
            return pd.DatetimeIndex([], dtype="datetime64[us]")
        first, last = max(extent[0], market.first_hour), min(extent[1], last_closed_hour())
        present = ohlcv_hours(connection, market.source.table, first, last)
    wanted = present if hours is None else present[present.isin(hours)]
    keys = partition_keys(wanted)
    known = newest_materializations(instance, ohlcv_key(market), keys if len(keys) <= FEW_HOURS else None)
    return wanted[[key not in known for key in keys]]


def report_present(instance: dg.DagsterInstance, market: Market, hours: pd.DatetimeIndex) -> None:
    """Report hours as materialized."""
    report_runless(instance, [(dg.AssetMaterialization(ohlcv_key(market)), partition_keys(hours))])


def report_ohlcv(instance: dg.DagsterInstance, market: Market, hours: pd.DatetimeIndex) -> int:
    """Report the hours that are closed, in the table, and not yet shown as materialized. Returns their number."""
    unreported = unreported_hours(instance, market, hours)
    report_present(instance, market, unreported)
    return len(unreported)
