"""A clock that jumps, for the project and for Dagster."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._core.test_utils import freeze_time

from feature_backfill.automation.jobs import job_name
from feature_backfill.cli import main
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR, last_closed_hour, partition_keys
from feature_backfill_tests.automation.ticks import Sensor
from feature_backfill_tests.faults.scene import Scene
from feature_backfill_tests.homes import new_home
from feature_backfill_tests.markets import LAST, TABLE, append_ohlcv, small_market, stored, window

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
    market, feature_set = scene.market, scene.feature_set
    sensor = Sensor(instance, build_definitions([market]), f"{job_name(market, feature_set)}__new_hours")
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
