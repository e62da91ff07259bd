"""A clock that jumps, for the project and for Dagster."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._core.test_utils import freeze_time

from feature_backfill.automation.runs import NEW_HOURS
from feature_backfill.checks.corrections import corrections
from feature_backfill.checks.parity import parity
from feature_backfill.cli import main
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR, last_closed_hour, partition_keys
from feature_backfill_tests.automation.ticks import Sensor
from feature_backfill_tests.faults.scene import Scene
from feature_backfill_tests.homes import new_home
from feature_backfill_tests.markets import (
    LAST,
    LOOKBACK,
    TABLE,
    WHERE,
    append_ohlcv,
    execute,
    small_market,
    stored,
    window,
)

FLAGS = ("--feature-key", "short", *WHERE, *LOOKBACK)
DAY, MONTH = pd.Timedelta(days=1), pd.Timedelta(days=30)


class Clock:
    """The clock of the project and of Dagster in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stack: ExitStack):
        self._monkeypatch, self._stack = monkeypatch, stack

    def set(self, moment: pd.Timestamp) -> None:
        """moment: UTC-naive."""
        now = moment.tz_localize("UTC")
        self._monkeypatch.setattr(pd.Timestamp, "now", classmethod(lambda cls, tz=None: now.tz_convert(tz)))
        self._stack.close()
        self._stack.enter_context(freeze_time(now.to_pydatetime()))
        assert last_closed_hour() == moment.floor("h") - HOUR


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    with ExitStack() as stack:
        yield Clock(monkeypatch, stack)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Commands run in this process, and in its folder."""
    folder = new_home(tmp_path / "scene")
    monkeypatch.chdir(folder)
    return Scene(folder, small_market(folder, name=TABLE))


def test_a_clock_that_jumps_there_and_back(scene: Scene, instance: dg.DagsterInstance, clock: Clock) -> None:
    market = scene.market
    sensor = Sensor(instance, build_definitions([market]), NEW_HOURS)
    right = LAST + pd.Timedelta(minutes=72)
    clock.set(right)
    assert main(["run", *scene.flags, "--start", str(LAST - DAY)]) == 0
    before = stored(market)
    assert before["ts"].iloc[-1] == LAST

    for jump in (MONTH, -DAY):
        clock.set(right + jump)
        assert sensor.tick() == []
        for hours in (("--mode", "last_from_features"), window(LAST - DAY, LAST + DAY)):
            assert main(["run", *scene.flags, *hours]) == 0
        pd.testing.assert_frame_equal(stored(market), before)

    append_ohlcv(market, LAST + HOUR)
    clock.set(right - DAY)
    assert sensor.tick() == []
    clock.set(right + HOUR)
    assert sensor.ranges() == [(LAST + HOUR, LAST + HOUR)]
    shown = instance.get_materialized_partitions(scene.features)
    assert shown == set(partition_keys(pd.DatetimeIndex(before["ts"])))


def test_a_bar_that_a_fast_clock_took_for_closed_is_found_once_its_hour_has_closed(scene: Scene, clock: Clock) -> None:
    """Two hours ahead, the bar of the running hour looks closed; its row is computed from half a bar."""
    market, feature_set = scene.market, scene.feature_set
    running = LAST - 3 * HOUR
    assert running == running.floor("4h"), "a 4H bar ends with the hour"
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp > ?", running)
    execute(market, f"CREATE TABLE final AS FROM {TABLE} WHERE timestamp = ?", running)
    half = "volume = volume / 2, high = greatest(open, close)"
    execute(market, f"UPDATE {TABLE} SET {half} WHERE timestamp = ?", running)
    clock.set(running + pd.Timedelta(minutes=150))
    assert main(["run", *scene.flags, "--start", str(running - 9 * HOUR)]) == 0
    early = stored(market)
    assert early["ts"].iloc[-1] == running

    final = f"UPDATE {TABLE} AS t SET volume = final.volume, high = final.high FROM final"
    execute(market, f"{final} WHERE t.timestamp = final.timestamp")
    clock.set(running + pd.Timedelta(minutes=30))
    assert corrections(market, feature_set).passed, "by the right clock, the hour has not closed"
    clock.set(running + pd.Timedelta(minutes=61))
    found = corrections(market, feature_set)
    assert not found.passed
    assert f"10 rows, 1 stale, the newest {running}" in found.description
    assert not parity(market, feature_set, 10, 1).passed
    assert main(["recompute-stale", *scene.flags]) == 0
    assert corrections(market, feature_set).passed
    assert parity(market, feature_set, 10, 1).passed
    renewed = stored(market)
    assert list(renewed["ts"][renewed["features"] != early["features"]]) == [running]
