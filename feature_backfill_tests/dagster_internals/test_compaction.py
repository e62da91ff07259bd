"""Compaction of an event log that Dagster's own storage wrote, or the batched one: smaller, with the same answers."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.test.utils import execute_dagster_graphql

from feature_backfill.dagster_internals import compaction
from feature_backfill.dagster_internals.bulk_events import BULK_TYPES
from feature_backfill.dagster_internals.compaction import Compaction, compact
from feature_backfill.dagster_internals.partition_status import newest_plans
from feature_backfill.dagster_internals.versions import newest_versions
from feature_backfill.errors import UserError
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
)
from feature_backfill_tests.dagster_internals.test_event_log_storage import QUERY

ASSETS = (OHLCV, BARS, FEATURES)
DAILY, DESCRIBED = dg.AssetKey("daily"), dg.AssetKey("described")
EVENTS = sorted(BULK_TYPES, key=str)

pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, no_waiting_for_the_disk: None) -> Path:
    """A home with the history in Dagster's own event log, and with events of assets of another kind."""
    home = tmp_path_factory.mktemp("home")
    with dg.instance_for_test(temp_dir=str(home)) as instance:
        live(instance)
        for at in range(2):
            of_day = dg.AssetMaterialization(DAILY, partition=f"2024-01-0{at + 1}")
            of_hour = dg.AssetMaterialization(DESCRIBED, partition=HOURS[at], description="in words")
            instance.report_runless_asset_event(of_day)
            instance.report_runless_asset_event(of_hour)
    return home


@pytest.fixture
def instance(lived: Path, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = shutil.copytree(lived, tmp_path / "copy")
    with dg.instance_for_test(overrides=BATCHED, temp_dir=str(home)) as instance:
        yield instance


def answers(instance: dg.DagsterInstance) -> dict[str, Any]:
    """All that is asked about the assets and their hours."""
    storage = event_log(instance)
    given: dict[str, Any] = {}
    for asset in (*ASSETS, DAILY, DESCRIBED):
        for kind in EVENTS:
            wanted = dg.EventRecordsFilter(event_type=kind, asset_key=asset)
            given[f"{kind} of {asset}"] = [said(record) for record in storage.get_event_records(wanted)]
            given[f"newest {kind} of {asset}"] = storage.get_latest_storage_id_by_partition(asset, kind)
        given[f"fetched of {asset}"] = [
            [said(record) for record in fetch(asset, limit=1000).records]
            for fetch in (instance.fetch_materializations, instance.fetch_observations)
        ]
        entries = [record.asset_entry for record in instance.get_asset_records([asset])]
        given[f"record of {asset}"] = [(entry.last_materialization_record, entry.last_run_id) for entry in entries]
        given[f"plans of {asset}"] = newest_plans(instance, asset)
        given[f"versions of {asset}"] = newest_versions(instance, asset)
    for asset in ASSETS:
        given[f"status of {asset}"] = instance.get_status_by_partition(asset, HOURS, HOURLY)
        given[f"cached status of {asset}"] = get_and_update_asset_status_cache_value(instance, asset, HOURLY)
    for run_id in RUNS:
        given[f"hours of {run_id}"] = [instance.get_asset_partitions_for_run(run_id, kind) for kind in EVENTS]
    return given


def said(record: dg.EventLogRecord) -> tuple[Any, ...]:
    """An event without what the index need not repeat: message, process, logging tags and handles of the step."""
    entry, event = record.event_log_entry, record.event_log_entry.get_dagster_event()
    of_step = entry.step_key, entry.job_name
    return record.storage_id, entry.run_id, entry.timestamp, of_step, event.event_type, event.event_specific_data


def page(instance: dg.DagsterInstance) -> Any:
    origin = LoadableTargetOrigin(module_name=history.__name__, attribute="defs")
    variables = {"keys": [key.to_graphql_input() for key in ASSETS], "hours": HOURS}
    with in_process_test_workspace(instance, origin) as workspace:
        return execute_dagster_graphql(workspace, QUERY, variables).data


def described(instance: dg.DagsterInstance, run_id: str) -> list[tuple[str, str | None, str | None]]:
    """The lines of a run about asset events: type, hour and range."""
    found = []
    for entry in instance.all_logs(run_id, of_type=BULK_TYPES):
        event = entry.get_dagster_event()
        data: Any = event.event_specific_data
        names = ("materialization", "asset_observation", "asset_materialization_failure")
        of_hour = next((getattr(data, name) for name in names if hasattr(data, name)), None)
        hours = of_hour.metadata.get("hours") if of_hour else None
        found.append((event.event_type_value, event.partition, hours.value if hours else None))
    return found


def others(instance: dg.DagsterInstance, run_id: str) -> list[dg.EventLogEntry]:
    return [
        entry
        for entry in instance.all_logs(run_id)
        if not entry.dagster_event or entry.dagster_event.event_type not in BULK_TYPES
    ]


def contents(instance: dg.DagsterInstance) -> dict[str, bytes]:
    folder = Path(event_log(instance).path_for_shard("index")).parent
    return {file.name: file.read_bytes() for file in folder.glob("*.db")}


def end_the_last_run(instance: dg.DagsterInstance) -> None:
    run = instance.get_run_by_id(RUNS[5])
    assert run is not None
    instance.report_run_failed(run)


def assert_answers_stay(instance: dg.DagsterInstance) -> Compaction:
    """Compact; what is asked about the assets must have the same answer before and after."""
    before, shown = answers(instance), page(instance)
    done = compact(instance)
    assert answers(instance) == before
    assert page(instance) == shown
    for row in stored_rows(event_log(instance), "index")["event_logs"]:
        assert row["step_key"] is None or row["partition"] is None
    assert done.now < done.before
    return done


def test_after_dagsters_own_event_log_the_answers_stay(instance: dg.DagsterInstance) -> None:
    end_the_last_run(instance)
    done = assert_answers_stay(instance)
    assert (done.runs, done.left) == (5, [])  # the rerun of one hour has no two hours of an event
    assert done.hours > 80


def test_after_the_batched_event_log_the_answers_stay(no_waiting_for_the_disk: None) -> None:
    with dg.instance_for_test(overrides=BATCHED) as instance:
        live(instance)
        end_the_last_run(instance)
        assert_answers_stay(instance)


def test_the_hours_of_an_event_become_a_line(instance: dg.DagsterInstance) -> None:
    before = {run_id: others(instance, run_id) for run_id in RUNS}
    compact(instance)
    (plan, planned, none), (kind, hour, text), (_, left_out, skips) = described(instance, RUNS[1])
    assert (plan, planned, none) == ("ASSET_MATERIALIZATION_PLANNED", None, None)
    assert (kind, hour, text) == ("ASSET_MATERIALIZATION", HOURS[8], f"{HOURS[0]} .. {HOURS[8]}, 8 hours")
    assert (left_out, skips) == (HOURS[9], f"{HOURS[3]} .. {HOURS[9]}, 2 hours")
    assert {run_id: others(instance, run_id) for run_id in RUNS} == before


def test_other_assets_keep_their_lines(instance: dg.DagsterInstance) -> None:
    def theirs() -> list[dg.EventLogEntry]:
        return [entry for entry in instance.all_logs("") if entry.get_dagster_event().asset_key in (DAILY, DESCRIBED)]

    before = theirs()
    assert len(before) == 4
    compact(instance)
    assert theirs() == before


def test_a_run_that_goes_on_is_left_alone(instance: dg.DagsterInstance) -> None:
    log = list(instance.all_logs(RUNS[5]))
    assert len(log) > 0
    done = compact(instance)
    assert done.going == 1
    assert "1 runs going on left alone" in done.summary
    assert [problem.partition(" has")[0] for problem in done.left] == ["index.db"]
    assert list(instance.all_logs(RUNS[5])) == log
    assert compact(instance, own_run=RUNS[5]).left == []  # its own run does not keep a job from it


def test_a_second_compaction_finds_nothing(instance: dg.DagsterInstance) -> None:
    end_the_last_run(instance)
    compact(instance)
    once = contents(instance)
    again = compact(instance)
    assert (again.runs, again.hours, again.now) == (0, 0, again.before)
    assert contents(instance) == once


def test_a_dry_run_foretells_and_writes_nothing(instance: dg.DagsterInstance) -> None:
    end_the_last_run(instance)
    before = contents(instance)
    told = compact(instance, dry_run=True)
    assert contents(instance) == before
    done = compact(instance)
    assert (told.runs, told.hours, told.before) == (done.runs, done.hours, done.before)
    assert told.now < told.before


def test_a_locked_database_is_left_for_later(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    end_the_last_run(instance)
    monkeypatch.setattr(sqlite_event_log, "SQLITE_BUSY_TIMEOUT_SECONDS", 0.1)
    before = answers(instance)
    with closing(sqlite3.connect(event_log(instance).path_for_shard(RUNS[1]))) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert compact(instance).left == [f"{RUNS[1]}.db is left as it is: database is locked"]
    assert answers(instance) == before
    later = compact(instance)
    assert (later.runs, later.left) == (1, [])


def killed_at(statement: str, occurrence: int, instance: dg.DagsterInstance) -> bool:
    """Compact in a process that is killed before it executes a statement for this time; returns whether it did."""
    child = os.fork()
    if child == 0:
        times = iter(range(1, 1000))

        def kill(*execution: Any) -> None:
            if execution[2].startswith(statement) and next(times) == occurrence:
                os.kill(os.getpid(), signal.SIGKILL)

        db.event.listen(db.Engine, "before_cursor_execute", kill)
        compact(instance)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_killed_at_any_time_the_log_is_whole(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "BATCH_SIZE", 20)
    end_the_last_run(instance)
    before = answers(instance)
    kills = [
        ("DELETE FROM event_logs", 2),  # in the log of a run: one line is rewritten, its other hours are still there
        ("PRAGMA user_version = 1", 3),  # before a commit
        ("VACUUM", 1),
        ("PRAGMA user_version = 0", 1),
        ("UPDATE event_logs SET event=?, step_key=?", 2),  # between two batches of the index
        ("PRAGMA user_version = 0", 1),
    ]
    for statement, occurrence in kills:
        assert killed_at(statement, occurrence, instance), statement
        assert answers(instance) == before
    assert compact(instance).left == []
    assert answers(instance) == before
    assert [hour for _, hour, _ in described(instance, RUNS[1])] == [None, HOURS[8], HOURS[9]]
    assert not killed_at("VACUUM", 1, instance)  # nothing is owed


def test_another_event_log_is_refused() -> None:
    with dg.instance_for_test() as own, pytest.raises(UserError, match="SqliteEventLogStorage; only those of Batched"):
        compact(own)


def test_the_summary_says_what_was_saved() -> None:
    done = Compaction(Path("/home/history/runs"), False, before=3_800_000_000, now=900_000_000, runs=12, going=3)
    assert done.summary == (
        "/home/history/runs: 3.8 GB before, 900.0 MB now; 12 runs and 0 hours of the index compacted, "
        "3 runs going on left alone"
    )
