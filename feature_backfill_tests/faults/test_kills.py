"""A backfill killed again and again, at random moments of its life.

Each round deletes all rows and bars, or some ranges of rows, or deletes nothing and has the rows overwritten. In some
rounds Dagster forgets the materializations. Then `feature-backfill run` over the whole market is started and killed, in
turn: at a moment drawn from the length of an undisturbed run, while the database is being written, and while Dagster's
records are.
"""

import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from feature_backfill.assets.names import bars_key
from feature_backfill.automation.runs import ON_THEIR_WAY
from feature_backfill.hours import HOUR
from feature_backfill.sources.synthetic import drop_hours, synthetic_ohlcv
from feature_backfill.store.bars import bars_table
from feature_backfill.store.features import TABLE
from feature_backfill.store.sql import quoted
from feature_backfill_tests.faults.moments import DATABASE, RECORDS, newest_run, phase, watch
from feature_backfill_tests.faults.scene import Scene, give_up_silent_runs, new_scene, require_kept, require_whole
from feature_backfill_tests.markets import execute_on_target, window

FIRST_HOUR = pd.Timestamp("2023-01-01")
HOURS, GAP_HOURS = 5000, 3
BASE_HOURS, TIMEFRAMES = 720, ("1H", "4H", "12H", "1D")


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: its rows, its seconds, and how often the database and the records changed."""

    rows: pd.Series
    seconds: float
    changes: tuple[int, ...]


@dataclass(frozen=True)
class Kill:
    """A kill after some seconds, what the run was doing, and how many rows were stored before and after."""

    seconds: float
    doing: str
    before: int
    after: int

    def __str__(self) -> str:
        return (
            f"killed after {self.seconds:5.1f} s, {self.doing:24} {self.before:6,} rows before, {self.after:6,} after"
        )


@pytest.fixture
def ohlcv() -> pd.DataFrame:
    """Hourly rows with a gap, of which HOURS hours can be computed."""
    lookback = BASE_HOURS - 1
    ohlcv = synthetic_ohlcv(FIRST_HOUR, lookback + HOURS + GAP_HOURS + lookback)
    return drop_hours(ohlcv, FIRST_HOUR + (lookback + HOURS // 3) * HOUR, GAP_HOURS)


@pytest.fixture
def scene(ohlcv: pd.DataFrame, tmp_path: Path) -> Scene:
    return new_scene(tmp_path / "killed", ohlcv, BASE_HOURS, TIMEFRAMES)


@pytest.fixture
def undisturbed(ohlcv: pd.DataFrame, tmp_path: Path) -> Undisturbed:
    scene = new_scene(tmp_path / "undisturbed", ohlcv, BASE_HOURS, TIMEFRAMES)
    command = scene.start("run", *every_hour(scene))
    watched = watch(scene, command)
    code, said = command.ended()
    assert code == 0, said
    rows = scene.rows()
    assert len(rows) == HOURS
    return Undisturbed(rows, watched.seconds, watched.changes)


@pytest.mark.long
def test_killed_at_random_moments(
    scene: Scene,
    undisturbed: Undisturbed,
    instance: dg.DagsterInstance,
    rng: np.random.Generator,
    pytestconfig: pytest.Config,
    figures: Callable[[str], None],
) -> None:
    figures(
        f"undisturbed: {len(undisturbed.rows):,} rows in {undisturbed.seconds:.1f} s; changes seen: "
        f"{undisturbed.changes[DATABASE]} of the database, {undisturbed.changes[RECORDS]} of Dagster's records"
    )
    kills: list[Kill] = []
    while len(kills) < pytestconfig.getoption("kills"):
        kill = start_and_kill(scene, instance, undisturbed, rng, turn=len(kills) % 3)
        kills += [kill] if kill else []
        print(f"{len(kills):4} {kill or 'ended by itself, not counted'}", flush=True)
    seconds = [kill.seconds for kill in kills]
    counts = ", ".join(f"{doing} {count}" for doing, count in Counter(kill.doing for kill in kills).most_common())
    figures(f"{len(kills)} kills after {min(seconds):.1f} to {max(seconds):.1f} s, while {counts}")
    left_over = instance.get_runs_count(dg.RunsFilter(statuses=ON_THEIR_WAY))
    hours = len(scene.disagreeing_hours(instance))
    figures(f"before the repair: {left_over} runs seem to be going on, Dagster and the table disagree on {hours} hours")

    scene.finish("repair")
    silent = give_up_silent_runs(instance)
    scene.require_settled(instance)
    figures(f"after it: no run, no hour; {len(silent)} runs had been killed before their first event")
    scene.finish("run", *every_hour(scene))
    scene.require_complete(instance, undisturbed.rows)
    figures(f"after the last run: {len(undisturbed.rows):,} rows, byte for byte those of the undisturbed run")


def start_and_kill(
    scene: Scene, instance: dg.DagsterInstance, undisturbed: Undisturbed, rng: np.random.Generator, turn: int
) -> Kill | None:
    """One round; None if the run ended before it could be killed.

    turn: 0 to kill at a moment of time, 1 after so many writes of the database, 2 after so many of Dagster's records.
    """
    flags = prepare(scene, instance, rng)
    before, known = scene.rows(), newest_run(instance)
    command = scene.start("run", *every_hour(scene), *flags)
    try:
        if turn == 0:
            watched = watch(scene, command, seconds=rng.uniform(0, undisturbed.seconds))
        else:
            which = (DATABASE, RECORDS)[turn - 1]
            changes = int(rng.integers(1, undisturbed.changes[which] + 1))
            watched = watch(scene, command, which=which, changes=changes)
    finally:
        code, said = command.kill()
    after = scene.rows()
    require_kept(before.index, after.index)
    require_whole(after, undisturbed.rows)
    if code != -signal.SIGKILL:
        assert code == 0, said
        return None
    doing = phase(scene, instance, known, watched, has_more_rows=len(after) > len(before))
    return Kill(watched.seconds, doing, len(before), len(after))


def every_hour(scene: Scene) -> tuple[str, ...]:
    return window(scene.market.first_hour, scene.market.first_hour + 20_000 * HOUR)


def prepare(scene: Scene, instance: dg.DagsterInstance, rng: np.random.Generator) -> list[str]:
    """Delete rows, or none; returns the flags with which a run then has something to compute."""
    rows = scene.rows()
    kind = rng.choice(["afresh", "holes", "overwrite"], p=[0.3, 0.4, 0.3])
    if rows.empty or kind == "overwrite":
        return ["--overwrite"]
    if kind == "afresh":
        for table in (TABLE, *map(bars_table, scene.market.bar_timeframes)):
            execute_on_target(scene.market, f"DELETE FROM {quoted(table)}")
    else:
        for _ in range(int(rng.integers(1, 4))):
            first, last = sorted(rng.integers(0, len(rows), 2))
            holes = f"DELETE FROM {TABLE} WHERE ts BETWEEN ? AND ?"
            execute_on_target(scene.market, holes, rows.index[first], rows.index[last])
    if rng.random() < 0.5:
        bars = [bars_key(scene.market, timeframe) for timeframe in scene.market.bar_timeframes]
        instance.wipe_assets([*bars, scene.features])
    return []
