"""The asset of the hourly rows. Nothing executes it: whoever brings rows reports their hours."""

from dataclasses import dataclass, field, replace

import dagster as dg
import numpy as np
import pandas as pd

from feature_backfill.assets.names import asset_link, checks_key, hourly_partitions, market_metadata, ohlcv_key
from feature_backfill.assets.run_events import LATE
from feature_backfill.config import Market
from feature_backfill.dagster_internals.partition_status import newest_materializations
from feature_backfill.dagster_internals.partition_wipe import wipe_partitions
from feature_backfill.dagster_internals.reports import EventOfHours, report_runless
from feature_backfill.dagster_internals.versions import VERSION_TAG, newest_event, newest_versions
from feature_backfill.engine.bars import COLUMNS
from feature_backfill.hours import HOUR, hours_of, last_closed_hour, partition_keys
from feature_backfill.sources.source import Brought
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import ohlcv_extent, read_ohlcv

ShownEvent = dg.AssetMaterialization | dg.AssetObservation

_NO_HOURS = pd.DatetimeIndex([], dtype="datetime64[us]")
_NO_VERSIONS = pd.Series([], index=pd.DatetimeIndex([], dtype="datetime64[us]"), dtype=object)
FEW_HOURS = 100
"""Up to this many hours, Dagster is asked about these alone; above it, about all of the asset."""


def ohlcv_asset(market: Market) -> dg.AssetSpec:
    """The source table. An hour without a row stays missing."""
    columns = [dg.TableColumn("timestamp", "timestamp", "opening time of the bar, UTC")]
    columns += [dg.TableColumn(name, "double") for name in COLUMNS]
    columns += [
        dg.TableColumn(column.name, "double", f"of a bar: {column.bar} of its hours")
        for column in market.source.further_columns
    ]
    return dg.AssetSpec(
        ohlcv_key(market),
        description=(
            f"Hourly bars of {market.name} in table {market.source.table}, {market.source.origin}. "
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


@dataclass(frozen=True)
class News:
    """Hours of the OHLCV table that Dagster does not show as they are, with the version of their rows, ascending.

    unreported: not shown as materialized. corrected: shown, with other values than the table has now. gone: shown, and
    no longer in the table; looked for only where all hours are looked at.
    """

    unreported: "pd.Series[str]"
    corrected: "pd.Series[str]"
    gone: pd.DatetimeIndex = field(default_factory=lambda: _NO_HOURS)

    def __len__(self) -> int:
        return len(self.unreported) + len(self.corrected) + len(self.gone)


def ohlcv_news(
    instance: dg.DagsterInstance,
    market: Market,
    hours: pd.DatetimeIndex | None = None,
) -> News:
    """The closed hours of the table of which Dagster does not know, or knows other rows.

    hours: look at these only, in any order; by default at all.
    """
    with connect(market.source.database, read_only=True) as connection:
        extent = ohlcv_extent(connection, market.source.table) if hours is None else (hours.min(), hours.max())
        if extent is None:
            return News(_NO_VERSIONS, _NO_VERSIONS)
        first, last = max(extent[0], market.first_hour), min(extent[1], last_closed_hour())
        rows = read_ohlcv(connection, market.source.table, first, last)
    versions = row_versions(rows)
    versions = versions if hours is None else versions[versions.index.isin(hours)]
    keys = partition_keys(pd.DatetimeIndex(versions.index))
    asked, key = keys if len(keys) <= FEW_HOURS else None, ohlcv_key(market)
    shown = newest_materializations(instance, key, asked)
    known = newest_versions(instance, key, asked)
    unreported = np.array([name not in shown for name in keys], dtype=bool)
    reported = np.array([known.get(name, "") for name in keys], dtype=object)
    corrected = ~unreported & (reported != "") & (reported != versions.to_numpy())
    gone = _NO_HOURS
    if hours is None:
        before = hours_of(shown)
        before = before[(before >= market.first_hour) & (before <= last_closed_hour())]
        gone = before[~before.isin(versions.index)]
    return News(versions[unreported], versions[corrected], gone)


def row_versions(rows: pd.DataFrame) -> "pd.Series[str]":
    """A digest of the values of each hour's row (of all its rows if an hour is repeated), by hour, ascending.

    rows: as read_ohlcv gives them. A stamp off the hour is no hour.
    """
    stamps = rows["timestamp"]
    rows = rows[stamps == stamps.dt.floor("h")]
    digests = pd.util.hash_pandas_object(rows[list(COLUMNS)], index=False)
    by_hour = digests.groupby(rows["timestamp"]).sum()
    return pd.Series([f"{digest:016x}" for digest in by_hour], index=pd.DatetimeIndex(by_hour.index), dtype=object)


def report_news(instance: dg.DagsterInstance, market: Market, news: News, brought: Brought | None = None) -> None:
    """Report unknown hours as materialized, and observe corrected ones, which makes what rests on them unsynced.

    Hours that are gone read missing again.

    brought: by the source that has just filled the table. The events of few hours then say where the row came from, and
    how many seconds after its close it was there.
    """
    key = ohlcv_key(market)
    if len(news.gone):
        wipe_partitions(instance, key, partition_keys(news.gone), newest_event(instance))
    new = dg.AssetMaterialization(key)
    corrected = dg.AssetObservation(key, metadata={"corrected": "the row has other values than were reported before"})
    if brought is None or brought.seen is None or len(news) > FEW_HOURS:
        events = [_of_rows(new, news.unreported), _of_rows(corrected, news.corrected)]
    else:
        events = _arrivals(corrected, news.corrected, "restated", brought.seen)
        for origin, hours in brought.by_origin.items():
            events += _arrivals(new, news.unreported[news.unreported.index.isin(hours)], origin, brought.seen)
    report_runless(instance, events)


def _of_rows(event: ShownEvent, versions: "pd.Series[str]") -> EventOfHours:
    """An event of hours, by the versions of their rows."""
    return EventOfHours(event, partition_keys(pd.DatetimeIndex(versions.index)), tags={VERSION_TAG: list(versions)})


def _arrivals(event: ShownEvent, versions: "pd.Series[str]", row: str, seen: pd.Timestamp) -> list[EventOfHours]:
    """Events that say where rows came from and, of those that are not history, how many seconds late they were."""
    event = event.with_metadata({"row": row, **event.metadata})
    late = seen - (pd.DatetimeIndex(versions.index) + HOUR)
    live = _of_rows(event, versions[late < LATE])
    seconds = late[late < LATE].total_seconds().tolist()
    return [_of_rows(event, versions[late >= LATE]), replace(live, numbers={"seconds_late": seconds})]


def report_ohlcv(
    instance: dg.DagsterInstance, market: Market, hours: pd.DatetimeIndex, brought: Brought | None = None
) -> int:
    """Report those of the closed hours of the table that are unknown or corrected. Returns their number.

    brought: as for report_news.
    """
    news = ohlcv_news(instance, market, hours)
    report_news(instance, market, news, brought)
    return len(news)
