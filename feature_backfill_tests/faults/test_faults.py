"""What happens to a backfill: killed at a chosen point, a full disk, other processes on the database."""

import re
import shutil
import signal
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from feature_backfill.automation.incremental import Cursor, next_request
from feature_backfill.automation.runs import FIRST_PAUSE, Runs
from feature_backfill.engine.compute import compute_features
from feature_backfill.hours import HOUR, hour_range
from feature_backfill.store.contracts import forget_ohlcv
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table, write_features
from feature_backfill_tests.faults import driver
from feature_backfill_tests.faults.driver import Command, Fault
from feature_backfill_tests.faults.scene import Scene, require_whole
from feature_backfill_tests.homes import new_home
from feature_backfill_tests.markets import FIRST, GAP, TABLE, ohlcv_of, small_market, stored, window

MENDABLE, FAILED = 2, 3
STORED_FIRST, STORED_LAST = FIRST + 47 * HOUR, FIRST + 76 * HOUR
LAST = FIRST + 147 * HOUR
assert LAST < GAP


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a market of which some hours are stored."""
    folder = new_home(tmp_path_factory.mktemp("prepared") / "scene")
    market = small_market(folder, name=TABLE)
    Scene(folder, market).finish("run", *window(STORED_FIRST, STORED_LAST))
    with connect(market.target_database, read_only=False) as connection:
        forget_ohlcv(connection)  # each copy has its OHLCV elsewhere
    return folder


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> pd.Series:
    """The text of every hour from STORED_FIRST to LAST, stored without Dagster, and where nothing happens."""
    market = small_market(tmp_path_factory.mktemp("reference"))
    (feature_set,) = market.feature_sets
    hours = hour_range(STORED_FIRST, LAST)
    computed = compute_features(ohlcv_of(market), hours, feature_set.base_hours, timeframes=feature_set.timeframes)
    with connect(market.target_database, read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, feature_set.key, computed.features)
    return stored(market).set_index("ts")["features"]


@pytest.fixture
def scene(prepared: Path, tmp_path: Path) -> Scene:
    """A copy of the prepared folder, to be mistreated."""
    folder = shutil.copytree(prepared, tmp_path / "scene")
    return Scene(folder, small_market(folder, name=TABLE))


def run_all(scene: Scene, *faults: Fault) -> Command:
    """Start the run over all hours up to LAST."""
    return scene.start("run", *window(STORED_FIRST, LAST), faults=faults)


def rerun(scene: Scene) -> int:
    """How many hours the run over all hours computes when nothing happens to it."""
    computed = re.search(r"computed (\d+) hours", scene.finish("run", *window(STORED_FIRST, LAST)))
    return int(computed[1]) if computed else 0


def require_kept_and_whole(scene: Scene, before: pd.DataFrame, reference: pd.Series) -> None:
    """Every row of before is there as it was, not written again, and every row there is that of the reference."""
    after = scene.stored()
    pd.testing.assert_frame_equal(after.loc[before.index], before)
    require_whole(after["features"], reference)


def require_one_left_over(instance: dg.DagsterInstance) -> str:
    """The id of the run of a killed process, which reads STARTED and holds the pool slot; no other does."""
    (killed,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    assert instance.event_log_storage.get_concurrency_run_ids() == {killed.run_id}
    return killed.run_id


def test_killed_within_commits(scene: Scene, reference: pd.Series, instance: dg.DagsterInstance) -> None:
    before, killed = scene.stored(), []
    for fault in (driver.killed_within_a_commit_of_bars, driver.killed_within_the_commit):
        code, said = run_all(scene, fault).ended()
        assert code == -signal.SIGXFSZ, said
        pd.testing.assert_frame_equal(scene.stored(), before)
        killed.append(require_one_left_over(instance))
    assert rerun(scene) == len(reference) - len(before)
    require_kept_and_whole(scene, before, reference)
    scene.require_complete(instance, reference)
    assert {instance.get_run_by_id(run_id).status for run_id in killed} == {dg.DagsterRunStatus.FAILURE}


@pytest.mark.parametrize(
    ("fault", "ended_by"),
    [(driver.killed_within_the_checkpoint, signal.SIGXFSZ), (driver.killed_within_the_events, signal.SIGKILL)],
)
def test_killed_after_the_commit(
    scene: Scene, reference: pd.Series, instance: dg.DagsterInstance, fault: Fault, ended_by: int
) -> None:
    before = scene.stored()
    code, said = run_all(scene, fault).ended()
    assert code == -ended_by, said
    require_kept_and_whole(scene, before, reference)
    killed = require_one_left_over(instance)
    scene.finish("repair")
    scene.require_complete(instance, reference)
    assert instance.get_run_by_id(killed).status == dg.DagsterRunStatus.FAILURE


def test_a_full_disk(scene: Scene, reference: pd.Series, instance: dg.DagsterInstance) -> None:
    before = scene.stored()
    code, said = run_all(scene, driver.disk_full_for_features).ended()
    assert code == MENDABLE, said
    assert f"{scene.market.target_database} could not be written; what was stored before is safe. Free space" in said
    assert "Traceback" not in said
    require_kept_and_whole(scene, before, reference)
    assert rerun(scene) == len(reference) - len(before)
    scene.require_complete(instance, reference)


def test_a_full_disk_for_a_new_database(tmp_path: Path) -> None:
    new = tmp_path / "new.duckdb"
    assert driver.in_a_process(driver.create_without_room, new) == 0
    assert list(tmp_path.iterdir()) == []
    with connect(new, read_only=False) as connection:
        connection.execute("CREATE TABLE t (i INT)")


def test_a_full_disk_for_the_records_of_dagster(
    scene: Scene, reference: pd.Series, instance: dg.DagsterInstance
) -> None:
    code, said = run_all(scene, driver.disk_full_for_events).ended()
    assert code == FAILED, said
    assert f"Dagster could not write its records in {scene.folder}" in said
    assert "Traceback" not in said
    assert scene.rows().equals(reference)
    scene.finish("repair")
    assert rerun(scene) == 0
    scene.require_complete(instance, reference)


def test_a_reader_that_stays(scene: Scene, reference: pd.Series, instance: dg.DagsterInstance) -> None:
    before = scene.stored()
    code, said = run_all(scene, driver.impatient, driver.target_taken_by_a_reader).ended()
    assert code == FAILED, said
    holder = re.search(r"holder: (\d+)", said)
    assert holder and re.search(rf"features\.duckdb is in use .* wait for its holder or end it.*PID {holder[1]}", said)
    assert "Traceback" not in said
    require_kept_and_whole(scene, before, reference)

    market, now = scene.market, pd.Timestamp.now(tz="UTC").tz_localize(None)
    (feature_set,) = market.feature_sets
    missing = len(reference) - len(before)
    waits = next_request(Runs(instance), market, feature_set, Cursor(), now)
    assert f"{missing} hours failed, asked for again from" in waits.message
    asks = next_request(Runs(instance), market, feature_set, Cursor(), now + FIRST_PAUSE)
    assert "failed" not in asks.message
    set_back = next_request(Runs(instance), market, feature_set, Cursor(), now - pd.Timedelta(days=1))
    assert "failed" not in set_back.message


def test_two_runs_at_once(scene: Scene, reference: pd.Series, instance: dg.DagsterInstance) -> None:
    before = scene.stored()
    middle = reference.index[len(reference) * 2 // 3]
    both = [run_all(scene), scene.start("run", *window(STORED_FIRST, middle))]
    for command in both:
        code, said = command.ended()
        assert code == 0, said
    require_kept_and_whole(scene, before, reference)
    scene.require_complete(instance, reference)
