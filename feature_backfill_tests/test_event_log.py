"""The batched event log against Dagster's own: one history told to both must leave the same records and answers."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._serdes import deserialize_value
from dagster_graphql.test.utils import execute_dagster_graphql

from feature_backfill.event_log import (
    BatchedSqliteEventLogStorage,
    report_hours,
    report_runless,
    reported_already,
)

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

Pair = tuple[dg.DagsterInstance, dg.DagsterInstance]


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
    skipped = [hour for hour in context.partition_keys if hour in SKIPPED]
    if is_batched(context.instance):
        materialized = dg.AssetMaterialization(FEATURES, metadata={"n": 440})
        observed = dg.AssetObservation(FEATURES, metadata={"skipped": "a gap"})
        report_hours(context, [(materialized, computed), (observed, skipped)])
    else:
        for hour in computed:
            context.log_event(dg.AssetMaterialization(FEATURES, partition=hour, metadata={"n": 440}))
        for hour in skipped:
            context.log_event(dg.AssetObservation(FEATURES, partition=hour, metadata={"skipped": "a gap"}))
    yield from ()


defs = dg.Definitions(assets=[dg.AssetSpec(OHLCV, partitions_def=HOURLY), bars, features])


def is_batched(instance: dg.DagsterInstance) -> bool:
    return isinstance(instance.event_log_storage, BatchedSqliteEventLogStorage)


def ohlcv_told(hours: Sequence[str]) -> list[tuple[dg.AssetMaterialization, Sequence[str]]]:
    """Of all but the first at once, of the first by itself, with tags."""
    return [
        (dg.AssetMaterialization(OHLCV, tags={"dagster/data_version": version}), some)
        for version, some in (("1", hours[:1]), ("2", hours[1:]))
    ]


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
    """The history told to both: a gap, skipped hours, a failed range, part of it healed, a rerun, a run going on."""
    present = ohlcv_told([*HOURS[:6], *HOURS[8:12]])
    if is_batched(instance):
        report_runless(instance, present)
    else:
        for event, hours in present:
            for hour in hours:
                instance.report_runless_asset_event(event._replace(partition=hour))
    assert run(instance, RUNS[0], [BARS], hour_tags(0, 9))
    assert run(instance, RUNS[1], [FEATURES], hour_tags(0, 9))
    assert not run(instance, RUNS[2], [BARS, FEATURES], {**hour_tags(8, 17), "fails": "yes"})
    assert run(instance, RUNS[3], [FEATURES], hour_tags(13, 15))
    assert run(instance, RUNS[4], [BARS], hour_tags(5, 5))
    start(instance, RUNS[5], [FEATURES], hour_tags(20, 22))


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    def unsynchronized(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    db.event.listen(db.Engine, "connect", unsynchronized)
    yield
    db.event.remove(db.Engine, "connect", unsynchronized)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Dagster's own and the batched instance, both with the same history behind them."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_EVENT_BATCH_SIZE", "4")  # several batches a run, the last one not full
        opened = []
        for name, overrides in (("own", {}), ("batched", BATCHED)):
            home = str(tmp_path_factory.mktemp(name))
            instance = stack.enter_context(dg.instance_for_test(overrides=overrides, temp_dir=home))
            assert is_batched(instance) == (name == "batched")
            live(instance)
            opened.append(instance)
        yield opened[0], opened[1]


def stored_rows(storage: SqliteEventLogStorage, shard: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of one database of an event log, but for clocks and process ids."""
    with storage.run_connection(shard) as conn:
        return {
            table.name: [comparable(row) for row in conn.execute(table.select()).mappings()]
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


def event_log(instance: dg.DagsterInstance) -> SqliteEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, SqliteEventLogStorage)
    return storage


@pytest.mark.parametrize("shard", ["index", "", *RUNS])
def test_the_databases_hold_the_same_rows(pair: Pair, shard: str) -> None:
    own, batched = (stored_rows(event_log(instance), shard) for instance in pair)
    assert len(own["event_logs"]) > 0
    assert batched == own


def test_a_run_logs_the_same_events_in_the_same_order(pair: Pair) -> None:
    def log(instance: dg.DagsterInstance, run_id: str) -> list[tuple[Any, ...]]:
        events = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event]
        return [(event.event_type, event.asset_key, event.partition, event.step_key) for event in events]

    own, batched = ([log(instance, run_id) for run_id in RUNS] for instance in pair)
    assert batched == own
    observed = [partition for kind, _, partition, _ in batched[1] if kind is dg.DagsterEventType.ASSET_OBSERVATION]
    assert observed == [HOURS[3], HOURS[9]]


def test_partition_status_is_what_happened(pair: Pair) -> None:
    for instance in pair:
        pictures = {}
        for key in (OHLCV, BARS, FEATURES):
            status = instance.get_status_by_partition(key, HOURS, HOURLY)
            assert status is not None
            pictures[key.to_user_string()] = "".join(state.value[0] if state else "." for state in status.values())
        assert pictures == {  # Materialized, Failed, In progress
            "ohlcv": "MMMMMM..MMMM............",
            "bars": "MMMMMMMMMMMMMMMMMM......",
            "features": "MMM.MMMMFFFFFMM.FF..III.",
        }


def test_materialized_hours_latest_runs_and_cached_status_agree(pair: Pair) -> None:
    def answers(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, Any]:
        [record] = instance.get_asset_records([key])
        latest = record.asset_entry.last_materialization
        return {
            "materialized": instance.get_materialized_partitions(key),
            "by partition": event_log(instance).get_latest_storage_id_by_partition(
                key, dg.DagsterEventType.ASSET_MATERIALIZATION
            ),
            "latest": latest and (latest.run_id, latest.asset_materialization, record.asset_entry.last_run_id),
            "cached": get_and_update_asset_status_cache_value(instance, key, HOURLY),
        }

    for key in (OHLCV, BARS, FEATURES):
        own, batched = (answers(instance, key) for instance in pair)
        assert batched == own


QUERY = """
query Market($keys: [AssetKeyInput!]!, $hours: [String!]!) {
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    partitionStats { numMaterialized numFailed numMaterializing numPartitions }
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
    latestMaterializationByPartition(partitions: $hours) { partition runId metadataEntries { label } }
    latestRunForPartition(partition: "2024-01-01-13:00") { runId status }
    assetObservations { partition runId metadataEntries { ... on TextMetadataEntry { text } } }
    assetMaterializations { partition runId tags { key value } }
  }
  assetsLatestInfo(assetKeys: $keys) {
    latestRun { runId status } inProgressRunIds unstartedRunIds latestMaterialization { partition runId }
  }
  runsOrError { ... on Runs { results {
    runId status assetMaterializations { partition }
    eventConnection(limit: 1000) { events { __typename ... on MessageEvent { level stepKey } } }
  } } }
}
"""


def test_the_webserver_gives_the_same_answers(pair: Pair) -> None:
    origin = LoadableTargetOrigin(python_file=__file__, attribute="defs")
    variables = {"keys": [key.to_graphql_input() for key in (OHLCV, BARS, FEATURES)], "hours": HOURS}
    answers = []
    for instance in pair:
        with in_process_test_workspace(instance, origin) as workspace:
            answers.append(execute_dagster_graphql(workspace, QUERY, variables).data)
    own, batched = answers
    assert batched == own


def test_any_batch_leaves_what_its_events_leave_one_by_one(pair: Pair, tmp_path: Path) -> None:
    events = [*pair[0].all_logs(RUNS[1]), *pair[0].all_logs(RUNS[2]), *pair[0].all_logs("")[:2]]
    one_by_one = SqliteEventLogStorage(str(tmp_path / "own"))
    for event in events:
        one_by_one.store_event(event)
    at_once = BatchedSqliteEventLogStorage(str(tmp_path / "batched"))
    at_once.store_event_batch(events)
    for shard in ("index", RUNS[1], RUNS[2], ""):
        assert stored_rows(at_once, shard) == stored_rows(one_by_one, shard)


@pytest.mark.parametrize(
    ("metadata", "hours"),
    [
        ({"n": 440}, HOURS),
        ({}, HOURS[:1]),
        ({"of": HOURS[0]}, HOURS[:4]),  # the text of its first partition
        ({"of": f'"partition": "{HOURS[0]}"'}, HOURS[:3]),
        ({"of": HOURS[1]}, HOURS[:2]),
        ({"said": "50 % \u20bf | :head ? \\"}, HOURS[:3]),
        ({"n": 440}, ['a "quoted" \u20bf|\\', "Z\u00fcrich", HOURS[0], "?"]),
    ],
)
def test_what_is_told_of_many_hours_is_stored_as_dagster_does_to_the_byte(
    metadata: Mapping[str, Any], hours: Sequence[str]
) -> None:
    with dg.instance_for_test(overrides=BATCHED) as instance:
        report_runless(instance, [(dg.AssetMaterialization(OHLCV, metadata=metadata), hours)])
        storage = event_log(instance)
        for shard in ("", "index"):
            with storage.run_connection(shard) as conn:
                rows = [dict(row) for row in conn.execute(SqlEventLogStorageTable.select()).mappings()]
            assert [row.pop("id") for row in rows] == [*range(1, len(hours) + 1)]
            entries = [deserialize_value(row["event"], dg.EventLogEntry) for row in rows]
            assert rows == [storage._event_to_row(entry) for entry in entries]
            assert [entry.asset_materialization for entry in entries] == [
                dg.AssetMaterialization(OHLCV, metadata=metadata, partition=hour) for hour in hours
            ]


def test_an_asset_that_reported_its_hours_is_reported_once_and_steps_downstream_go_on() -> None:
    @dg.asset(name="bars", partitions_def=HOURLY, backfill_policy=dg.BackfillPolicy.single_run())
    def reports(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        report_hours(context, [(dg.AssetMaterialization(BARS), context.partition_keys)])
        return reported_already()

    @dg.asset(deps=[reports], partitions_def=HOURLY, backfill_policy=dg.BackfillPolicy.single_run())
    def after() -> None: ...

    for overrides in ({}, BATCHED):
        with dg.instance_for_test(overrides=overrides) as instance:
            result = dg.materialize([reports, after], instance=instance, tags=hour_tags(0, 3))
            for key in (BARS, after.key):
                events = instance.fetch_materializations(key, limit=10).records
                assert sorted(str(event.partition_key) for event in events) == HOURS[:4]
            assert [event.partition for event in result.get_asset_materialization_events()][:4] == HOURS[:4]


def test_opening_the_instance_turns_batches_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "7")
    with dg.instance_for_test(overrides=BATCHED):
        assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "7"  # the operator's choice stands
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    commits: list[Any] = []
    count = commits.append
    with dg.instance_for_test(overrides=BATCHED) as instance:
        report_runless(instance, ohlcv_told(HOURS[:2]))  # creates the database
        db.event.listen(db.Engine, "commit", count)
        report_runless(instance, ohlcv_told(HOURS[2:]))
        db.event.remove(db.Engine, "commit", count)
        assert len(commits) == 2
        assert instance.get_materialized_partitions(OHLCV) == set(HOURS)


def test_switching_on_and_off_keeps_the_history(tmp_path: Path) -> None:
    for hour, overrides in ((HOURS[0], {}), (HOURS[1], BATCHED), (HOURS[2], {})):
        with dg.instance_for_test(overrides=overrides, temp_dir=str(tmp_path)) as instance:
            report_runless(instance, ohlcv_told([hour]))
    with dg.instance_for_test(overrides=BATCHED, temp_dir=str(tmp_path)) as instance:
        assert instance.get_materialized_partitions(OHLCV) == set(HOURS[:3])


def test_a_home_with_a_tilde_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    BatchedSqliteEventLogStorage.from_config_value(None, {"base_dir": "~/dagster"})
    assert (tmp_path / "dagster" / "history" / "runs" / "index.db").is_file()


def test_readers_and_another_writer_do_not_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "5")

    def write(instance: dg.DagsterInstance, name: str) -> None:
        for some in (HOURS[start : start + 5] for start in range(0, len(HOURS), 5)):
            report_runless(instance, [(dg.AssetMaterialization(name), some)])

    def read(instance: dg.DagsterInstance) -> list[int]:
        counts = [0]
        while counts[-1] < len(HOURS):
            counts.append(len(instance.get_materialized_partitions(OHLCV)))
        return counts

    with dg.instance_for_test(overrides=BATCHED) as instance, ExitStack() as stack, ThreadPoolExecutor(3) as pool:
        writer, rival, reader = (stack.enter_context(dg.DagsterInstance.from_ref(instance.get_ref())) for _ in range(3))
        reading = pool.submit(read, reader)
        for writing in (pool.submit(write, writer, "ohlcv"), pool.submit(write, rival, "bars")):
            writing.result()
        assert reading.result() == sorted(reading.result())
        assert instance.get_materialized_partitions(BARS) == set(HOURS)


def test_an_asset_called_without_a_run_reports_too() -> None:
    materialized, observed = dg.AssetMaterialization("features"), dg.AssetObservation("features")

    @dg.asset(name="features")
    def called(context: dg.AssetExecutionContext) -> None:
        report_hours(context, [(materialized, HOURS[:1]), (observed, HOURS[3:4])])

    context = dg.build_asset_context()
    called(context)
    assert context.op_execution_context.get_events() == [
        dg.AssetMaterialization("features", partition=HOURS[0]),
        dg.AssetObservation("features", partition=HOURS[3]),
    ]
