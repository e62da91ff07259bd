"""One history of runs and reports, for instances with either event log, and what their databases hold of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from feature_backfill.dagster_internals.bulk_events import records_in_bulk
from feature_backfill.dagster_internals.reports import EventOfHours, report_hours, report_runless, skipped

BATCHED = {
    "event_log_storage": {
        "module": "feature_backfill.event_log",
        "class": "BatchedSqliteEventLogStorage",
        "config": {"base_dir": {"env": "DAGSTER_HOME"}},
    }
}
HOURLY = dg.HourlyPartitionsDefinition("2024-01-01-00:00", end_date="2024-01-02-00:00", timezone="UTC")
HOURS = HOURLY.get_partition_keys()
SKIPPED = HOURS[3::6]
OHLCV, BARS, FEATURES = (dg.AssetKey(name) for name in ("ohlcv", "bars", "features"))
RUNS = [f"00000000-0000-0000-0000-00000000000{number}" for number in range(6)]


@dg.asset(
    partitions_def=HOURLY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[OHLCV],
    check_specs=[dg.AssetCheckSpec("complete", asset="bars")],
    code_version="1",
)
def bars(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    rows = len(context.partition_keys)
    return dg.MaterializeResult(metadata={"rows": rows}, check_results=[dg.AssetCheckResult(passed=True)])


@dg.asset(
    partitions_def=HOURLY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[bars],
    output_required=False,
    code_version="1",
)
def features(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    if "fails" in context.run.tags:
        raise dg.Failure("the disk is full", allow_retries=False)
    computed = [hour for hour in context.partition_keys if hour not in SKIPPED]
    gap = [hour for hour in context.partition_keys if hour in SKIPPED]
    if records_in_bulk(context.instance):
        materialized = dg.AssetMaterialization(FEATURES, metadata={"n": 440})
        left_out = skipped(FEATURES, {"skipped": "a gap"})
        report_hours(context, [EventOfHours(materialized, computed), EventOfHours(left_out, gap)])
    else:
        for hour in computed:
            context.log_event(dg.AssetMaterialization(FEATURES, partition=hour, metadata={"n": 440}))
        for hour in gap:
            context.log_event(dg.AssetObservation(FEATURES, partition=hour, metadata={"skipped": "a gap"}))
    yield from ()


defs = dg.Definitions(assets=[dg.AssetSpec(OHLCV, partitions_def=HOURLY), bars, features])


def versioned_ohlcv(hours: Sequence[str]) -> list[EventOfHours]:
    """OHLCV events of hours, each with its close, and with the version of its data in a tag."""
    event = dg.AssetMaterialization(OHLCV)
    closes, versions = [100.5 + at for at in range(len(hours))], [f"version {hour}" for hour in hours]
    return [EventOfHours(event, hours, numbers={"close": closes}, tags={"dagster/data_version": versions})]


def hour_tags(first: int, last: int) -> dict[str, str]:
    return {"dagster/asset_partition_range_start": HOURS[first], "dagster/asset_partition_range_end": HOURS[last]}


def run(instance: dg.DagsterInstance, run_id: str, assets: Sequence[dg.AssetKey], tags: Mapping[str, str]) -> bool:
    job = defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance, run_id=run_id, asset_selection=assets, tags=tags, raise_on_error=False
    ).success


def start(instance: dg.DagsterInstance, run_id: str, assets: Sequence[dg.AssetKey], tags: Mapping[str, str]) -> None:
    """A run that is still going."""
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(assets))
    instance.create_run_for_job(job, run_id=run_id, tags=tags, status=dg.DagsterRunStatus.STARTED)


def live(instance: dg.DagsterInstance) -> None:
    """A history: a gap, skipped hours, a failed range, part of it healed, a rerun, a run going on."""
    present = versioned_ohlcv([*HOURS[:6], *HOURS[8:12]])
    if records_in_bulk(instance):
        report_runless(instance, present)
    else:
        for event in present:
            for one in event.one_by_one():
                instance.report_runless_asset_event(one)
    assert run(instance, RUNS[0], [BARS], hour_tags(0, 9))
    assert run(instance, RUNS[1], [FEATURES], hour_tags(0, 9))
    assert not run(instance, RUNS[2], [BARS, FEATURES], {**hour_tags(8, 17), "fails": "yes"})
    assert run(instance, RUNS[3], [FEATURES], hour_tags(13, 15))
    assert run(instance, RUNS[4], [BARS], hour_tags(5, 5))
    start(instance, RUNS[5], [FEATURES], hour_tags(20, 22))


def stored_rows(storage: SqlEventLogStorage, shard: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of one database of an event log, but for clocks and process ids."""
    with storage.run_connection(shard) as conn:
        return {
            table.name: [comparable(row) for row in conn.execute(table.select().order_by(table.c.id)).mappings()]
            for table in SqlEventLogStorageMetadata.sorted_tables
        }


def comparable(row: Mapping[Any, Any]) -> dict[str, Any]:
    cells = {name: without_clock(cell) for name, cell in row.items() if not isinstance(cell, db.DateTime)}
    if "event" in cells and not str(cells["dagster_event_type"]).startswith("ASSET_"):
        del cells["event"]  # durations and stack traces
    return {name: cell for name, cell in cells.items() if "timestamp" not in name and name != "migration_completed"}


def without_clock(cell: Any) -> Any:
    if isinstance(cell, str) and cell.startswith("{"):
        return without_clock(json.loads(cell))
    if isinstance(cell, dict):
        return {name: without_clock(value) for name, value in cell.items() if name not in ("timestamp", "pid")}
    return cell


def event_log(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    return storage
