"""What befalls a backfill: killed at a chosen point, a full disk, other processes on the database.

A limit on the size of files stands for the full disk: it works everywhere, and ends in the same errors.
"""

import re
import shutil
import signal
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from feature_backfill.automation.incremental import Cursor, next_request
from feature_backfill.automation.runs import FIRST_PAUSE
from feature_backfill.commands.shared.instance import shipped_config
from feature_backfill.config import Market
from feature_backfill.engine.compute import compute_features
from feature_backfill.hours import hour_range
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table, write_features
from feature_backfill.store.ohlcv import read_ohlcv
from feature_backfill_tests.faults import driver
from feature_backfill_tests.faults.driver import Command, Fault
from feature_backfill_tests.faults.scene import FLAGS, LAST, STORED_FIRST, Scene
from feature_backfill_tests.markets import small_market, stored

MENDABLE, FAILED = 2, 3


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.Series]:
    """A folder with a market of which some hours are stored, and the rows that all of its hours give."""
    folder, other = tmp_path_factory.mktemp("prepared"), tmp_path_factory.mktemp("whole")
    market = small_market(folder)
    shutil.copy(shipped_config("dagster.yaml"), folder / "dagster.yaml")
    assert Command(folder, Scene.run_some()).ended()[0] == 0
    whole = market.model_copy(update={"target_database": other / "features.duckdb"})
    store_all(whole)
    return folder, stored(whole).set_index("ts")["features"]


def store_all(market: Market) -> None:
    """Store the hours of the scene without Dagster, and without the faults of this world."""
    (feature_set,) = market.feature_sets
    with connect(market.source.database, read_only=True) as connection:
        ohlcv = read_ohlcv(connection, market.source.table)
    hours = hour_range(STORED_FIRST, LAST)
    computed = compute_features(ohlcv, hours, feature_set.base_hours, timeframes=feature_set.timeframes)
    with connect(market.target_database, read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, feature_set.key, computed.features)


@pytest.fixture
def scene(prepared: tuple[Path, pd.Series], tmp_path: Path) -> Scene:
    """A copy of the prepared folder, to be mistreated."""
    folder, reference = prepared
    return Scene(shutil.copytree(folder, tmp_path / "scene"), reference)


@pytest.fixture
def dagster_home(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scene's, for the fixture instance."""
    monkeypatch.setenv("DAGSTER_HOME", str(scene.folder))
    return scene.folder


def require_one_left_over(instance: dg.DagsterInstance) -> str:
    """The id of the run of a killed process, which reads STARTED and holds the pool slot; no other does."""
    (killed,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    assert instance.event_log_storage.get_concurrency_run_ids() == {killed.run_id}
    return killed.run_id


def test_killed_within_commits(scene: Scene, instance: dg.DagsterInstance) -> None:
    before, killed = scene.stored(), []
    for fault in (driver.killed_within_a_commit_of_bars, driver.killed_within_the_commit):
        code, said = scene.command(fault).ended()
        assert code == -signal.SIGXFSZ, said
        pd.testing.assert_frame_equal(scene.stored(), before)
        killed.append(require_one_left_over(instance))
    assert scene.rerun() == len(scene.reference) - len(before)
    scene.require_kept_and_whole(before)
    scene.require_complete(instance)
    assert {instance.get_run_by_id(run_id).status for run_id in killed} == {dg.DagsterRunStatus.FAILURE}


@pytest.mark.parametrize(
    ("fault", "ended_by"),
    [(driver.killed_within_the_checkpoint, signal.SIGXFSZ), (driver.killed_within_the_events, signal.SIGKILL)],
)
def test_killed_after_the_commit(scene: Scene, instance: dg.DagsterInstance, fault: Fault, ended_by: int) -> None:
    before = scene.stored()
    code, said = scene.command(fault).ended()
    assert code == -ended_by, said
    scene.require_kept_and_whole(before)
    killed = require_one_left_over(instance)
    scene.repair()
    scene.require_complete(instance)
    assert instance.get_run_by_id(killed).status == dg.DagsterRunStatus.FAILURE


def test_a_full_disk(scene: Scene, instance: dg.DagsterInstance) -> None:
    before = scene.stored()
    code, said = scene.command(driver.disk_full_for_features).ended()
    assert code == MENDABLE, said
    assert f"{scene.market.target_database} could not be written; what was stored before is safe. Free space" in said
    assert "Traceback" not in said
    scene.require_kept_and_whole(before)
    assert scene.rerun() == len(scene.reference) - len(before)
    scene.require_complete(instance)


def test_a_full_disk_for_a_new_database(tmp_path: Path) -> None:
    new = tmp_path / "new.duckdb"
    assert driver.in_a_process(driver.create_without_room, new) == 0
    assert list(tmp_path.iterdir()) == []
    with connect(new, read_only=False) as connection:
        connection.execute("CREATE TABLE t (i INT)")


def test_a_full_disk_for_the_records_of_dagster(scene: Scene, instance: dg.DagsterInstance) -> None:
    code, said = scene.command(driver.disk_full_for_events).ended()
    assert code == FAILED, said
    assert f"Dagster could not write its records in {scene.folder}" in said
    assert "Traceback" not in said
    assert scene.rows().equals(scene.reference)
    scene.repair()
    assert scene.rerun() == 0
    scene.require_complete(instance)


def test_a_reader_that_stays(scene: Scene, instance: dg.DagsterInstance) -> None:
    before = scene.stored()
    code, said = scene.command(driver.impatient, driver.target_taken_by_a_reader).ended()
    assert code == FAILED, said
    holder = re.search(r"holder: (\d+)", said)
    assert holder and re.search(rf"features\.duckdb is in use .* wait for its holder or end it.*PID {holder[1]}", said)
    assert "Traceback" not in said
    scene.require_kept_and_whole(before)

    market, now = scene.market, pd.Timestamp.now(tz="UTC").tz_localize(None)
    (feature_set,) = market.feature_sets
    missing = len(scene.reference) - len(before)
    waits = next_request(instance, market, feature_set, Cursor(), now)
    assert f"{missing} hours failed, asked for again from" in waits.message
    asks = next_request(instance, market, feature_set, Cursor(), now + FIRST_PAUSE)
    assert "failed" not in asks.message
    set_back = next_request(instance, market, feature_set, Cursor(), now - pd.Timedelta(days=1))
    assert "failed" not in set_back.message


def test_two_runs_at_once(scene: Scene, instance: dg.DagsterInstance) -> None:
    before = scene.stored()
    middle = scene.reference.index[len(scene.reference) * 2 // 3]
    both = [scene.command(), Command(scene.folder, ["run", *FLAGS, "--start", str(STORED_FIRST), "--end", str(middle)])]
    for command in both:
        code, said = command.ended()
        assert code == 0, said
    scene.require_kept_and_whole(before)
    scene.require_complete(instance)
