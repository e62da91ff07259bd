"""Years in the life of a market, in minutes and in random order.

Hours are appended, some of them late; hours are corrected; rows are deleted; runs end, are killed, or wait for a lock;
the sensor ticks and its runs are executed; Dagster is repaired. After each of these actions no row may be lost, and
each row must be, bit for bit, what the engine computes from OHLCV as it is or was before a correction.
"""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from feature_backfill.automation.runs import NEW_HOURS
from feature_backfill.definitions import build_definitions
from feature_backfill.engine.compute import compute_features
from feature_backfill.hours import HOUR
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill.store.features import TABLE
from feature_backfill.store.reading import read_features
from feature_backfill_tests.automation.ticks import Sensor
from feature_backfill_tests.faults.scene import Scene, give_up_silent_runs, new_scene, require_kept
from feature_backfill_tests.holders import held_by_another_process
from feature_backfill_tests.markets import execute_on_target, put_ohlcv, window

FIRST_HOUR = pd.Timestamp("2025-01-01")
FIRST_HOURS, MOST_HOURS = 600, 6000
BASE_HOURS, TIMEFRAMES = 48, ("1H", "4H", "12H")
LATE = 0.005
LONGEST_LIFE_S = 10.0
LOCKED_S = 4.0


class Soak:
    """The market, and what its rows may be.

    known: how many of all_hours have arrived, counting the late ones that have not.
    versions: the features of each state of OHLCV, hours x names, the newest last.
    """

    def __init__(self, scene: Scene, instance: dg.DagsterInstance, all_hours: pd.DataFrame, rng: np.random.Generator):
        self.scene, self.instance, self.all_hours, self.rng = scene, instance, all_hours, rng
        self.late = rng.random(MOST_HOURS) < LATE
        self.late[:FIRST_HOURS] = False
        self.known = FIRST_HOURS
        self.versions = [self._features()]
        self.sensor = Sensor(instance, build_definitions([scene.market]), NEW_HOURS)
        self.actions: dict[Callable[[], None], float] = {
            self.append: 0.15, self.fill_in: 0.1, self.correct: 0.1, self.delete: 0.1, self.run: 0.15,
            self.kill: 0.2, self.wait_for_a_lock: 0.05, self.tick: 0.1, self.repair: 0.05,
        }  # fmt: skip

    def act(self) -> str:
        """Take an action and check the rows; returns the name of the action."""
        before = self.stored()
        action = self.rng.choice(np.array(list(self.actions), dtype=object), p=list(self.actions.values()))
        action()
        after = self.stored()
        if action != self.delete:
            require_kept(before.index, after.index)
        self.require_right(after)
        return str(action.__name__)

    def append(self) -> None:
        """Up to 99 hours arrive, but for the late ones."""
        self.known = min(self.known + int(self.rng.integers(1, 100)), MOST_HOURS)
        self._put_ohlcv()
        self.versions[-1] = self._features()

    def fill_in(self) -> None:
        """The late hours arrive."""
        self.late[: self.known] = False
        self._put_ohlcv()
        self.versions[-1] = self._features()

    def correct(self) -> None:
        """The volume of an hour changes; a row that depends on it may be the old one or the new one."""
        self.all_hours.loc[int(self.rng.integers(0, self.known)), "volume"] += 1.0
        self._put_ohlcv()
        self.versions.append(self._features())

    def delete(self) -> None:
        """A range of rows is deleted by SQL."""
        hours = self.stored().index
        if len(hours):
            first, last = sorted(self.rng.integers(0, len(hours), 2))
            statement = f"DELETE FROM {TABLE} WHERE ts BETWEEN ? AND ?"
            execute_on_target(self.scene.market, statement, hours[first], hours[last])

    def run(self) -> None:
        """A run over a random range stores all that can be computed."""
        first, last = self._range()
        self.scene.finish("run", *window(first, last))
        self.require_computed(first, last)

    def kill(self) -> None:
        """A run, overwriting or not, is killed unless it ends first."""
        flags = ["--overwrite"] if self.rng.random() < 0.3 else []
        command = self.scene.start("run", *window(*self._range()), *flags)
        deadline = time.monotonic() + self.rng.uniform(0, LONGEST_LIFE_S)
        while command.running and time.monotonic() < deadline:
            time.sleep(0.01)
        command.kill()

    def wait_for_a_lock(self) -> None:
        """A run over a random range waits for a process that has the OHLCV database open."""
        first, last = self._range()
        with held_by_another_process(self.scene.market.source.database):
            command = self.scene.start("run", *window(first, last))
            time.sleep(LOCKED_S)
        code, said = command.ended()
        assert code == 0, said
        self.require_computed(first, last)

    def tick(self) -> None:
        """The sensor ticks, and the runs that it asks for are executed."""
        assert all(result.success for result in self.sensor.execute(self.sensor.tick()))

    def repair(self) -> None:
        """After a repair Dagster shows what is stored."""
        self.scene.finish("repair")
        give_up_silent_runs(self.instance)
        self.scene.require_settled(self.instance, bars=False)

    def settle(self) -> None:
        """A repair and an overwriting run leave what one run over the final OHLCV gives."""
        self.repair()
        self.fill_in()
        last = FIRST_HOUR + (self.known - 1) * HOUR
        self.scene.finish("run", *window(FIRST_HOUR, last), "--overwrite")
        self.require_computed(FIRST_HOUR, last)
        self.versions = self.versions[-1:]
        self.require_right(self.stored())
        self.scene.require_settled(self.instance)

    def stored(self) -> pd.DataFrame:
        """The stored rows, hours x names."""
        if self.scene.rows().empty:
            return self.versions[-1].iloc[:0]
        return read_features(self.scene.market.target_database, self.scene.feature_set.key)

    def require_right(self, rows: pd.DataFrame) -> None:
        """Each row is, bit for bit, that of its hour in one of the versions."""
        right = np.zeros(len(rows), dtype=bool)
        for version in self.versions:
            expected, found = version.reindex(rows.index)[rows.columns].to_numpy(), rows.to_numpy()
            same = (expected == found) | np.isnan(expected) & np.isnan(found)
            right |= rows.index.isin(version.index) & same.all(axis=1)
        assert right.all(), f"{(~right).sum()} rows match no state of OHLCV, first {rows.index[~right][0]}"

    def require_computed(self, first: pd.Timestamp, last: pd.Timestamp) -> None:
        """Every hour of a range that can be computed is stored."""
        possible = self.versions[-1].loc[first:last].index
        missing = possible.difference(self.stored().index)
        assert missing.empty, f"{len(missing)} hours are missing after a run over them, first {missing[0]}"

    def _range(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        first, last = sorted(self.rng.integers(0, self.known, 2))
        return FIRST_HOUR + first * HOUR, FIRST_HOUR + last * HOUR

    def _ohlcv(self) -> pd.DataFrame:
        return self.all_hours[: self.known][~self.late[: self.known]]

    def _put_ohlcv(self) -> None:
        put_ohlcv(self.scene.market.source.database, self._ohlcv())

    def _features(self) -> pd.DataFrame:
        ohlcv = self._ohlcv()
        return compute_features(ohlcv, ohlcv["timestamp"], BASE_HOURS, timeframes=TIMEFRAMES).features


@pytest.fixture
def all_hours(rng: np.random.Generator) -> pd.DataFrame:
    return synthetic_ohlcv(FIRST_HOUR, MOST_HOURS, int(rng.integers(1000)))


@pytest.fixture
def scene(all_hours: pd.DataFrame, tmp_path: Path) -> Scene:
    return new_scene(tmp_path / "market", all_hours[:FIRST_HOURS], BASE_HOURS, TIMEFRAMES)


@pytest.mark.long
def test_soak(
    scene: Scene,
    instance: dg.DagsterInstance,
    all_hours: pd.DataFrame,
    rng: np.random.Generator,
    pytestconfig: pytest.Config,
    figures: Callable[[str], None],
) -> None:
    soak = Soak(scene, instance, all_hours, rng)
    actions: Counter[str] = Counter()
    deadline = time.monotonic() + 60 * pytestconfig.getoption("soak_minutes")
    while time.monotonic() < deadline:
        name = soak.act()
        actions[name] += 1
        print(f"{actions.total():5} {name:16} {len(soak.stored()):6,} rows of {soak.known:6,} hours", flush=True)
    soak.settle()
    counts = ", ".join(f"{count} {name}" for name, count in actions.most_common())
    figures(f"{actions.total()} actions ({counts}); then {len(soak.stored()):,} rows, those of one run over all hours")
