"""The batched event log on PostgreSQL answers as the one on SQLite does, although it has one table for everything."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster import DagsterEventType as Kind
from dagster._core.event_api import EventLogCursor
from dagster._core.events import BATCH_WRITABLE_EVENTS
from dagster._core.storage.event_log.base import EventLogConnection
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.test.utils import execute_dagster_graphql

from feature_backfill.dagster_internals.bulk_events import EventsInBulk, insert_rows
from feature_backfill.dagster_internals.reports import EventOfHours, report_runless
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
    hour_tags,
    live,
    run,
    stored_rows,
    versioned_ohlcv,
)
from feature_backfill_tests.postgres import Postgres, batched, storage

POINTER = re.compile(r'(?<="dagster/input_event_pointer/ohlcv": )"\d+"')
Pair = tuple[dg.DagsterInstance, dg.DagsterInstance]

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("no_waiting_for_the_disk")]


@pytest.fixture(scope="module")
def pair(postgres: Postgres, no_waiting_for_the_disk: None) -> Iterator[Pair]:
    """Batched instances on SQLite and on PostgreSQL with the same history behind them."""
    with ExitStack() as stack:
        on_sqlite = stack.enter_context(dg.instance_for_test(overrides=BATCHED))
        on_postgres = stack.enter_context(dg.instance_for_test(overrides=batched(postgres.new_database())))
        for instance in (on_sqlite, on_postgres):
            live(instance)
        yield on_sqlite, on_postgres


def rows_of_hours(instance: dg.DagsterInstance) -> list[str]:
    """What the index holds of assets, but for ids of events."""
    rows = stored_rows(event_log(instance), "index")["event_logs"]
    of_assets = [{name: cell for name, cell in row.items() if name != "id"} for row in rows if row["asset_key"]]
    return [POINTER.sub('"some"', json.dumps(row)) for row in of_assets]


def test_the_events_of_the_hours_are_the_same(pair: Pair) -> None:
    on_sqlite, on_postgres = map(rows_of_hours, pair)
    assert {json.loads(row)["dagster_event_type"] for row in on_sqlite} == {
        "ASSET_MATERIALIZATION_PLANNED",
        "ASSET_MATERIALIZATION",
        "ASSET_FAILED_TO_MATERIALIZE",
    }
    assert on_postgres == on_sqlite


def told(page: EventLogConnection) -> list[Any]:
    """What a page of a log says, but for clocks and storage ids."""
    return [
        (event.event_type, event.step_key, event.asset_key, event.partition)
        if (event := record.event_log_entry.dagster_event)
        else record.event_log_entry.user_message
        for record in page.records
    ]


@pytest.mark.parametrize("run_id", RUNS)
@pytest.mark.parametrize("kinds", [None, Kind.ASSET_MATERIALIZATION, {Kind.STEP_START, Kind.STEP_SUCCESS}, set(Kind)])
@pytest.mark.parametrize("ascending", [True, False])
def test_the_log_of_a_run_is_the_same_whole_and_page_by_page(
    pair: Pair, run_id: str, kinds: Any, ascending: bool
) -> None:
    on_sqlite, on_postgres = (
        instance.get_records_for_run(run_id, of_type=kinds, ascending=ascending) for instance in pair
    )
    assert told(on_postgres) == told(on_sqlite)
    cursor, pages = None, []
    while not pages or pages[-1].has_more:
        pages.append(pair[1].get_records_for_run(run_id, cursor, kinds, limit=3, ascending=ascending))
        cursor = pages[-1].cursor
    assert [line for page in pages for line in told(page)] == told(on_sqlite)
    end = pair[1].get_records_for_run(run_id, cursor, kinds, ascending=ascending)
    assert (told(end), end.cursor, end.has_more) == ([], cursor, False)
    offset = EventLogCursor.from_offset(2).to_string()
    assert told(pair[1].get_records_for_run(run_id, offset, kinds, ascending=ascending)) == told(on_sqlite)[2:]


@pytest.mark.parametrize("key", [OHLCV, BARS, FEATURES])
@pytest.mark.parametrize("fetch", ["materializations", "observations", "failed_materializations"])
def test_the_events_of_an_asset_are_fetched_alike(pair: Pair, key: dg.AssetKey, fetch: str) -> None:
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=HOURS[2:10])

    def fetched(instance: dg.DagsterInstance) -> list[Any]:
        pages = [getattr(instance, f"fetch_{fetch}")(wanted, limit=3)]
        while pages[-1].has_more:
            pages.append(getattr(instance, f"fetch_{fetch}")(wanted, limit=3, cursor=pages[-1].cursor))
        return [(record.run_id, record.partition_key) for page in pages for record in page.records]

    on_sqlite, on_postgres = map(fetched, pair)
    assert on_postgres == on_sqlite


RUN_PAGE = """
query RunPage($run: ID!) {
  runOrError(runId: $run) {
    ... on Run {
      status
      stepStats { stepKey status materializations { __typename } expectationResults { success } }
      eventConnection {
        hasMore
        events {
          __typename
          ... on MessageEvent { runId message level stepKey eventType }
          ... on DisplayableEvent { description metadataEntries { label } }
          ... on MaterializationEvent { assetKey { path } partition }
          ... on FailedToMaterializeEvent { assetKey { path } partition }
        }
      }
    }
  }
}"""


@pytest.mark.parametrize("run_id", RUNS)
def test_the_run_page_shows_the_same(pair: Pair, run_id: str) -> None:
    origin = LoadableTargetOrigin(module_name=history.__name__, attribute="defs")
    answers = []
    for instance in pair:
        with in_process_test_workspace(instance, origin) as workspace:
            page = execute_dagster_graphql(workspace, RUN_PAGE, {"run": run_id}).data["runOrError"]
        for event in page["eventConnection"]["events"]:
            if "assetKey" not in event:
                del event["message"]  # durations, process ids, folders
        answers.append(page)
    on_sqlite, on_postgres = answers
    assert on_postgres == on_sqlite


def test_any_batch_leaves_what_its_events_leave_one_by_one(pair: Pair, postgres: Postgres) -> None:
    logged = [entry for run_id in RUNS[:3] for entry in pair[0].all_logs(run_id)]
    events = [entry for entry in logged if entry.dagster_event and entry.dagster_event_type in BATCH_WRITABLE_EVENTS]
    left = []
    for at_once in (False, True):
        with dg.instance_for_test(overrides=batched(postgres.new_database())) as instance:
            log = event_log(instance)
            assert isinstance(log, EventsInBulk)
            if at_once:
                log.store_event_batch(events)
            else:
                for event in events:
                    log.store_event(event)
            lines = [told(instance.get_records_for_run(run_id)) for run_id in RUNS[:3]]
            left.append((lines, rows_of_hours(instance)))
    assert left[1] == left[0]


def test_who_adds_an_event_waits_for_a_bulk_of_them_so_that_ids_are_in_the_order_of_commits(postgres: Postgres) -> None:
    url = postgres.new_database()
    waiting = db.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'event_logs'::regclass")
    with dg.instance_for_test(overrides=batched(url)) as instance, ThreadPoolExecutor(1) as pool:
        log = event_log(instance)
        assert isinstance(log, EventsInBulk)
        with log.rows_transaction() as connection:
            single = pool.submit(
                instance.report_runless_asset_event, dg.AssetMaterialization(OHLCV, partition=HOURS[2])
            )
            with log.index_connection() as other:
                while not other.scalar(waiting):
                    assert not single.done()
                assert instance.get_materialized_partitions(OHLCV) == set()  # who reads does not wait
            event = dg.EventLogEntry(None, 20, "", "", 0.0)
            row = log._event_to_row(event) | {"asset_key": OHLCV.to_string(), "partition": HOURS[1]}
            row["dagster_event_type"] = Kind.ASSET_MATERIALIZATION.value
            insert_rows(connection, iter([row]))
        single.result()
        newest = instance.event_log_storage.get_latest_storage_id_by_partition(OHLCV, Kind.ASSET_MATERIALIZATION)
        assert sorted(newest, key=newest.__getitem__) == [HOURS[1], HOURS[2]]


def test_writers_and_a_reader_at_once_end_with_every_hour_in_the_cached_status(postgres: Postgres) -> None:
    def write(instance: dg.DagsterInstance, some: list[str]) -> None:
        for hour in some:
            report_runless(instance, [EventOfHours(dg.AssetMaterialization(OHLCV), [hour])])

    def materialized(instance: dg.DagsterInstance) -> int:
        status = instance.get_status_by_partition(OHLCV, HOURS, HOURLY) or {}
        return sum(state is not None for state in status.values())

    with (
        dg.instance_for_test(overrides=batched(postgres.new_database())) as instance,
        ExitStack() as stack,
        ThreadPoolExecutor(2) as pool,
    ):
        writers = [stack.enter_context(dg.DagsterInstance.from_ref(instance.get_ref())) for _ in range(2)]
        writing = [pool.submit(write, writer, HOURS[at::2]) for at, writer in enumerate(writers)]
        while not all(each.done() for each in writing):
            materialized(instance)
        for each in writing:
            each.result()
        assert materialized(instance) == len(HOURS)


def test_switching_on_and_off_keeps_the_history(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()
    own, bulk = storage("event_log", url), batched(url)
    for at, overrides in enumerate((own, bulk, own)):
        with dg.instance_for_test(overrides=overrides, temp_dir=str(tmp_path)) as instance:
            report_runless(instance, versioned_ohlcv(HOURS[at : at + 1]))
            assert run(instance, RUNS[at], [BARS], hour_tags(at, at + 1))
    with dg.instance_for_test(overrides=bulk, temp_dir=str(tmp_path)) as instance:
        assert instance.get_materialized_partitions(OHLCV) == set(HOURS[:3])
        assert instance.get_materialized_partitions(BARS) == set(HOURS[:4])
        for run_id in RUNS[:3]:
            assert instance.get_records_for_run(run_id, of_type=Kind.ASSET_MATERIALIZATION).records
            assert len(instance.get_asset_partitions_for_run(run_id)[BARS]) >= 2


def test_a_deleted_run_leaves_no_row(postgres: Postgres) -> None:
    with dg.instance_for_test(overrides=batched(postgres.new_database())) as instance:
        assert run(instance, RUNS[0], [BARS], hour_tags(0, 9))
        instance.delete_run(RUNS[0])
        log = instance.event_log_storage
        assert isinstance(log, SqlEventLogStorage)
        assert stored_rows(log, "index")["event_logs"] == []
