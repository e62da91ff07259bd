"""The batched event log against Dagster's own: one history in both must leave the same records and answers."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.test.utils import execute_dagster_graphql

from feature_backfill.dagster_internals.bulk_events import records_in_bulk
from feature_backfill.dagster_internals.partition_status import newest_materializations
from feature_backfill.dagster_internals.reports import EventOfHours, report_runless
from feature_backfill.event_log import BatchedSqliteEventLogStorage
from feature_backfill_tests.dagster_internals import history
from feature_backfill_tests.dagster_internals.history import (
    BARS,
    BATCHED,
    FEATURES,
    HOURLY,
    HOURS,
    OHLCV,
    RUNS,
    event_log,
    live,
    stored_rows,
    versioned_ohlcv,
)
from feature_backfill_tests.postgres import EITHER, batched

SKIPPING = {"ASSET_OBSERVATION", "ASSET_FAILED_TO_MATERIALIZE"}
Pair = tuple[dg.DagsterInstance, dg.DagsterInstance]

pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")


@pytest.fixture(scope="module", params=EITHER)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, no_waiting_for_the_disk: None
) -> Iterator[Pair]:
    """Dagster's own instance and a batched one, both with the same history behind them."""
    on_postgres = request.param == "postgres"
    settings = batched(request.getfixturevalue("postgres").new_database()) if on_postgres else BATCHED
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_EVENT_BATCH_SIZE", "4")  # several batches a run, the last one not full
        opened = []
        for name, overrides in (("own", {}), ("batched", settings)):
            home = str(tmp_path_factory.mktemp(name))
            instance = stack.enter_context(dg.instance_for_test(overrides=overrides, temp_dir=home))
            assert records_in_bulk(instance) == (name == "batched")
            live(instance)
            opened.append(instance)
        yield opened[0], opened[1]


def test_the_index_holds_the_same_events_in_the_same_order(pair: Pair) -> None:
    def events(instance: dg.DagsterInstance) -> list[tuple[Any, ...]]:
        return [
            (row["run_id"], row["dagster_event_type"], row["asset_key"], row["partition"])
            for row in stored_rows(event_log(instance), "index")["event_logs"]
            if row["asset_key"] and row["dagster_event_type"] not in SKIPPING
        ]

    own, batched = map(events, pair)
    assert len(own) > 0
    assert batched == own


def test_the_log_of_a_run_has_a_line_for_all_hours_of_an_event(pair: Pair) -> None:
    _, batched = pair
    lines = [
        (event.event_type, event.asset_key, event.partition)
        for entry in batched.all_logs(RUNS[1])
        if (event := entry.dagster_event) and event.asset_key
    ]
    assert lines == [
        (dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, FEATURES, None),
        (dg.DagsterEventType.ASSET_MATERIALIZATION, FEATURES, HOURS[8]),
        (dg.DagsterEventType.ASSET_FAILED_TO_MATERIALIZE, FEATURES, HOURS[9]),
    ]
    assert batched.get_asset_partitions_for_run(RUNS[1], dg.DagsterEventType.ASSET_MATERIALIZATION) == {
        FEATURES: set(HOURS[:9]) - {HOURS[3]}
    }


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


def untagged(event: dg.AssetMaterialization | None) -> Any:
    """An event without its tags. Of the batched log, Dagster does not learn the versions of OHLCV, and names others."""
    assert event is not None
    return event.asset_key, event.partition, event.metadata


def test_materialized_hours_latest_runs_and_cached_status_agree(pair: Pair) -> None:
    def answers(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, Any]:
        [record] = instance.get_asset_records([key])
        newest = newest_materializations(instance, key)
        cached = get_and_update_asset_status_cache_value(instance, key, HOURLY)
        assert cached is not None
        latest = record.asset_entry.last_materialization
        return {
            "materialized": instance.get_materialized_partitions(key),
            "in order": sorted(newest, key=newest.__getitem__),
            "latest": latest
            and (latest.run_id, untagged(latest.asset_materialization), record.asset_entry.last_run_id),
            "cached": cached._replace(latest_storage_id=None, earliest_in_progress_materialization_event_id=None),
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
    assetMaterializations { partition runId stepKey label metadataEntries { label } }
  }
  assetsLatestInfo(assetKeys: $keys) {
    latestRun { runId status } inProgressRunIds unstartedRunIds latestMaterialization { partition runId }
  }
  runsOrError { ... on Runs { results { runId status stepStats { stepKey status } } } }
}
"""


def test_the_webserver_gives_the_same_answers(pair: Pair) -> None:
    origin = LoadableTargetOrigin(module_name=history.__name__, attribute="defs")
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


def test_opening_the_instance_turns_batches_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "7")
    with dg.instance_for_test(overrides=BATCHED):
        assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "7"  # the operator's choice stands
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    commits: list[Any] = []
    count = commits.append
    with dg.instance_for_test(overrides=BATCHED) as instance:
        report_runless(instance, versioned_ohlcv(HOURS[:2]))  # creates the database
        db.event.listen(db.Engine, "commit", count)
        report_runless(instance, versioned_ohlcv(HOURS[2:]))
        db.event.remove(db.Engine, "commit", count)
        assert len(commits) == 2
        assert instance.get_materialized_partitions(OHLCV) == set(HOURS)


def test_switching_on_and_off_keeps_the_history(tmp_path: Path) -> None:
    for hour, overrides in ((HOURS[0], {}), (HOURS[1], BATCHED), (HOURS[2], {})):
        with dg.instance_for_test(overrides=overrides, temp_dir=str(tmp_path)) as instance:
            report_runless(instance, versioned_ohlcv([hour]))
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
            report_runless(instance, [EventOfHours(dg.AssetMaterialization(name), some)])

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
