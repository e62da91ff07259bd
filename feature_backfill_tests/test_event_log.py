"""The batched event log against Dagster's own: one history told to both must leave the same records and answers."""

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.partition_status_cache import AssetPartitionStatus, get_and_update_asset_status_cache_value
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.test.utils import execute_dagster_graphql

from feature_backfill.event_log import BatchedSqliteEventLogStorage, report_hours, report_runless

BATCHED = {
    "event_log_storage": {
        "module": "feature_backfill.event_log",
        "class": "BatchedSqliteEventLogStorage",
        "config": {"base_dir": {"env": "DAGSTER_HOME"}},
    }
}
HOURLY = dg.HourlyPartitionsDefinition("2024-01-01-00:00", end_date="2024-01-03-00:00", timezone="UTC")
HOURS = HOURLY.get_partition_keys()
SKIPPED = HOURS[3::7]
ASSETS = [dg.AssetKey("ohlcv"), dg.AssetKey("bars"), dg.AssetKey("features")]
RUNS = [f"00000000-0000-0000-0000-00000000000{number}" for number in range(5)]


@dg.asset(
    partitions_def=HOURLY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[dg.AssetKey("ohlcv")],
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
    if "fails" in context.run_tags:
        raise dg.Failure("the disk is full", allow_retries=False)
    materializations, observations = feature_events(context.partition_keys)
    if is_batched(context.instance):
        report_hours(context, materializations, observations)
    else:
        for event in (*materializations, *observations):
            context.log_event(event)
    yield from ()


def feature_events(hours: Sequence[str]) -> tuple[list[dg.AssetMaterialization], list[dg.AssetObservation]]:
    return (
        [dg.AssetMaterialization("features", partition=h, metadata={"values": 440}) for h in hours if h not in SKIPPED],
        [dg.AssetObservation("features", partition=h, metadata={"skipped": "a gap"}) for h in hours if h in SKIPPED],
    )


def ohlcv_events(hours: Sequence[str]) -> list[dg.AssetMaterialization]:
    return [dg.AssetMaterialization("ohlcv", partition=h, tags={"dagster/data_version": h}) for h in hours]


defs = dg.Definitions(assets=[dg.AssetSpec("ohlcv", partitions_def=HOURLY), bars, features])


def is_batched(instance: dg.DagsterInstance) -> bool:
    return isinstance(instance.event_log_storage, BatchedSqliteEventLogStorage)


def run(
    instance: dg.DagsterInstance, run_id: str, first: int, last: int, *assets: str, tags: Mapping[str, str] | None = None
) -> bool:
    """One run of the assets over HOURS[first] to HOURS[last]."""
    partition_range = {
        "dagster/asset_partition_range_start": HOURS[first],
        "dagster/asset_partition_range_end": HOURS[last],
    }
    job = defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        run_id=run_id,
        asset_selection=[dg.AssetKey(asset) for asset in assets],
        tags={**partition_range, **(tags or {})},
        raise_on_error=False,
    ).success


def live(instance: dg.DagsterInstance) -> None:
    """The history that both event logs are told: a gap, skipped hours, a failed range, half of it healed, a rerun."""
    present = ohlcv_events([*HOURS[:20], *HOURS[22:]])
    if is_batched(instance):
        report_runless(instance, present)
    else:
        for event in present:
            instance.report_runless_asset_event(event)
    assert run(instance, RUNS[0], 0, 23, "bars")
    assert run(instance, RUNS[1], 0, 23, "features")
    assert not run(instance, RUNS[2], 18, 40, "bars", "features", tags={"fails": "yes"})
    assert run(instance, RUNS[3], 30, 35, "features")
    assert run(instance, RUNS[4], 5, 5, "bars")


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dg.DagsterInstance, dg.DagsterInstance]]:
    """Dagster's own and the batched instance, both with the same history behind them."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_EVENT_BATCH_SIZE", "10")  # several batches a run, the last one not full
        opened = []
        for name, overrides in (("own", {}), ("batched", BATCHED)):
            home = str(tmp_path_factory.mktemp(name))
            instance = stack.enter_context(dg.instance_for_test(overrides=overrides, temp_dir=home))
            live(instance)
            opened.append(instance)
        yield opened[0], opened[1]


def stored_rows(instance: dg.DagsterInstance, shard: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of one database of the event log, without what differs between any two histories."""
    storage = instance.event_log_storage
    assert isinstance(storage, dg._core.storage.event_log.SqliteEventLogStorage)
    with storage.run_connection(shard) as conn:
        return {
            table.name: [comparable(row) for row in conn.execute(table.select()).mappings()]
            for table in SqlEventLogStorageMetadata.sorted_tables
        }


def comparable(row: Mapping[str, Any]) -> dict[str, Any]:
    cells = {column: cell for column, cell in row.items() if "timestamp" not in column and column != "migration_completed"}
    if "event" in cells and not (cells["dagster_event_type"] or "").startswith("ASSET_"):
        cells["event"] = "durations, stack traces"
    return {column: without_clock(cell) for column, cell in cells.items()}


def without_clock(cell: Any) -> Any:
    if isinstance(cell, str) and cell.startswith("{"):
        return without_clock(json.loads(cell))
    if isinstance(cell, dict):
        return {key: without_clock(value) for key, value in cell.items() if key not in ("timestamp", "pid")}
    return cell


@pytest.mark.parametrize("shard", ["index", "", *RUNS])
def test_the_databases_hold_the_same_rows(
    instances: tuple[dg.DagsterInstance, dg.DagsterInstance], shard: str
) -> None:
    own, batched = (stored_rows(instance, shard) for instance in instances)
    assert len(own["event_logs"]) > 0
    assert batched == own


def test_the_runs_log_the_same_events_in_the_same_order(
    instances: tuple[dg.DagsterInstance, dg.DagsterInstance],
) -> None:
    def log(instance: dg.DagsterInstance, run_id: str) -> list[tuple[Any, ...]]:
        events = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event]
        return [(event.event_type, event.asset_key, event.partition, event.step_key) for event in events]

    own, batched = ([log(instance, run_id) for run_id in RUNS] for instance in instances)
    assert batched == own
    skipped = [event for event in batched[1] if event[0] is dg.DagsterEventType.ASSET_OBSERVATION]
    assert [partition for _, _, partition, _ in skipped] == SKIPPED[:3]


def test_partition_status_is_what_happened(instances: tuple[dg.DagsterInstance, dg.DagsterInstance]) -> None:
    own, batched = (
        {key: instance.get_status_by_partition(key, HOURS, HOURLY) for key in ASSETS} for instance in instances
    )
    assert batched == own
    features_status = batched[dg.AssetKey("features")]
    computed = {hour for hour in [*HOURS[:24], *HOURS[30:36]] if hour not in SKIPPED}
    failed = {*HOURS[18:41]} - {*HOURS[30:36]} | {HOURS[31]}
