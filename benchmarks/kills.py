"""Kill a backfill again and again, at random moments of its whole life, and look at what is left of its rows.

Each round takes something away, so that there is something to compute: all rows and bars, or some ranges of rows; or it
takes nothing away and has the rows overwritten. In some rounds Dagster forgets what it knew of them. Then
`feature-backfill run` over the whole market is started and killed, in turn: at a moment drawn from the length of an
undisturbed run, while the database is being written, and while Dagster's records are. After each kill the database must
open, hold all rows that it held, and no row that is not byte for byte that of an undisturbed run. At the end come a
repair and a last run.
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import numpy as np
import pandas as pd

from benchmarks.survival import KEY, BrokenError, Scene, kill, new_scene, require_equal_rows, require_kept
from feature_backfill.assets.names import bars_key, features_key
from feature_backfill.automation.runs import ON_THEIR_WAY
from feature_backfill.dagster_internals.orphans import SILENCE, end_orphans
from feature_backfill.engine.timeframes import HOURS_PER_BAR
from feature_backfill.hours import HOUR
from feature_backfill.sources.synthetic import drop_hours, synthetic_ohlcv
from feature_backfill.store.bars import bars_table
from feature_backfill.store.database import quoted
from feature_backfill.store.features import TABLE

FIRST_HOUR = pd.Timestamp("2023-01-01")
BASE_HOURS, GAP_HOURS = 720, 3
TIMEFRAMES = ("1H", "4H", "12H", "1D")
LOOK_EVERY_S = 0.002
JUST_NOW_S = 0.02


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: its rows, its seconds, and how often database and records were seen to change."""

    rows: pd.Series
    seconds: float
    changes: tuple[int, ...]


@dataclass(frozen=True)
class Watched:
    """What was seen of a process until its end. changes: of database and records; still: seconds since the last one."""

    seconds: float
    changes: tuple[int, ...]
    still: tuple[float, ...]


def main() -> None:
    """Kill, compare, and print a line a kill."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--hours", type=int, default=5000, help="hours that the backfill computes (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        try:
            _kill_loop(Path(temporary), options.kills, options.hours, np.random.default_rng(options.seed))
        except BrokenError as error:
            sys.exit(f"BROKEN: {error}")


def _kill_loop(folder: Path, kills: int, hours: int, rng: np.random.Generator) -> None:
    ohlcv = _market(hours)
    undisturbed = _undisturbed_run(new_scene(folder / "undisturbed", ohlcv, BASE_HOURS, TIMEFRAMES))
    print(
        f"undisturbed: {len(undisturbed.rows):,} rows in {undisturbed.seconds:.1f} s, "
        f"the database seen to change {undisturbed.changes[0]} times, Dagster's records {undisturbed.changes[1]} times"
    )
    scene = new_scene(folder / "killed", ohlcv, BASE_HOURS, TIMEFRAMES)
    phases: Counter[str] = Counter()
    while (number := phases.total()) < kills:
        kind = str(rng.choice(["afresh", "holes", "overwrite"], p=[0.3, 0.4, 0.3]))
        command = _prepare(scene, kind, rng)
        before, known = scene.rows(), _newest_run(scene)
        process = scene.start(*command)
        try:
            if number % 3 == 0:
                watched = _watch(scene, process, seconds=rng.uniform(0, undisturbed.seconds))
            else:
                what = number % 3 - 1
                watched = _watch(scene, process, what=what, changes=int(rng.integers(1, undisturbed.changes[what] + 1)))
        finally:
            killed = kill(process)
        if not killed:
            print(f"     {kind:10} ended by itself after {watched.seconds:.1f} s, not counted", flush=True)
            continue
        after = scene.rows()
        require_kept(before, after)
        require_equal_rows(after, undisturbed.rows)
        phase = _phase(scene, known, watched, len(after) > len(before))
        phases[phase] += 1
        print(
            f"{phases.total():4} {kind:10} killed after {watched.seconds:5.1f} s, {phase:28} "
            f"{len(before):6,} rows before, {len(after):6,} after, all whole",
            flush=True,
        )
    _settle(scene, undisturbed.rows, phases)


def _market(hours: int) -> pd.DataFrame:
    """Hourly rows with a gap, of which so many hours can be computed."""
    lookback = BASE_HOURS - 1
    ohlcv = synthetic_ohlcv(FIRST_HOUR, lookback + hours + GAP_HOURS + lookback)
    return drop_hours(ohlcv, FIRST_HOUR + (lookback + hours // 3) * HOUR, GAP_HOURS)


def _undisturbed_run(scene: Scene) -> Undisturbed:
    process = scene.start(*_run(scene))
    watched = _watch(scene, process)
    if process.returncode != 0:
        raise BrokenError((scene.folder / "command.log").read_text())
    return Undisturbed(scene.rows(), watched.seconds, watched.changes)


def _run(scene: Scene, *flags: str) -> list[str]:
    return scene.run_command(scene.market.first_hour, FIRST_HOUR + 20_000 * HOUR, *flags)


def _prepare(scene: Scene, kind: str, rng: np.random.Generator) -> list[str]:
    """Take rows away as the kind of round demands; the command to run then."""
    rows = scene.rows()
    if rows.empty or kind == "overwrite":
        return _run(scene, "--overwrite")
    if kind == "afresh":
        scene.execute(f"DELETE FROM {TABLE}")
        for timeframe in TIMEFRAMES:
            if HOURS_PER_BAR[timeframe] > 1:
                scene.execute(f"DELETE FROM {quoted(bars_table(timeframe))}")
    else:
        for _ in range(int(rng.integers(1, 4))):
            first, last = sorted(rng.integers(0, len(rows), 2))
            scene.execute(f"DELETE FROM {TABLE} WHERE ts BETWEEN ? AND ?", rows.index[first], rows.index[last])
    if rng.random() < 0.5:
        market = scene.market
        with scene.instance() as instance:
            bars = [bars_key(market, timeframe) for timeframe in market.bar_timeframes]
            instance.wipe_assets([*bars, features_key(market, scene.feature_set)])
    return _run(scene)


def _watch(
    scene: Scene,
    process: subprocess.Popen[bytes],
    seconds: float = float("inf"),
    what: int = 0,
    changes: int | None = None,
) -> Watched:
    """Look on until the process ends, the seconds are over, or one of scene.states() has changed so many times."""
    started = time.monotonic()
    states, seen, changed = scene.states(), [0, 0], [float("-inf")] * 2
    while process.poll() is None and time.monotonic() - started < seconds and seen[what] != changes:
        time.sleep(LOOK_EVERY_S)
        before, states = states, scene.states()
        for which in range(2):
            if before[which] != states[which]:
                seen[which], changed[which] = seen[which] + 1, time.monotonic()
    ended = time.monotonic()
    return Watched(ended - started, tuple(seen), tuple(ended - moment for moment in changed))


def _newest_run(scene: Scene) -> str | None:
    with scene.instance() as instance:
        return next((run.run_id for run in instance.get_runs(limit=1)), None)


def _phase(scene: Scene, known: str | None, watched: Watched, grown: bool) -> str:
    """What the process was doing when it was killed, from what Dagster has recorded of it."""
    newest = _newest_run(scene)
    if newest is None or newest == known:
        return "starting up"
    telling = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.RUN_SUCCESS}
    with scene.instance() as instance:
        records = instance.get_records_for_run(newest, of_type=telling).records
    events = [record.event_log_entry.get_dagster_event() for record in records]
    steps = [event.step_key for event in events if event.event_type == dg.DagsterEventType.STEP_START]
    features = features_key(scene.market, scene.feature_set).to_python_identifier()
    if not steps:
        return "planning the run"
    if events[-1].event_type == dg.DagsterEventType.RUN_SUCCESS:
        return "between runs or leaving"
    step = "features" if steps[-1] == features else "bars"
    if watched.still[0] < JUST_NOW_S:
        return f"writing {step}"
    if watched.still[1] < JUST_NOW_S:
        return f"recording {step}"
    if step == "bars":
        return "between writes of bars"
    return "after the commit" if grown else "reading, computing"


def _settle(scene: Scene, reference: pd.Series, phases: Counter[str]) -> None:
    """Repair, run once more, and compare."""
    print("killed while " + ", ".join(f"{phase} {count}" for phase, count in phases.most_common()))
    with scene.instance() as instance:
        left_over = instance.get_runs_count(dg.RunsFilter(statuses=ON_THEIR_WAY))
    print(f"before the repair: {left_over} runs read as if they went on, {scene.disagreements()} hours disagree")
    print(scene.call("repair").strip())
    with scene.instance() as instance:
        silent = end_orphans(instance, now=pd.Timestamp.now(tz="UTC").tz_localize(None) + SILENCE)
    print(f"ended when they had said nothing for {SILENCE}: {len(silent)} runs that were killed before they began")
    print(f"after the repair: {scene.disagreements()} hours disagree")
    print(scene.call(*_run(scene)).strip().splitlines()[0])
    rows = scene.rows()
    require_equal_rows(rows, reference)
    if not rows.index.equals(reference.index):
        raise BrokenError(f"{len(reference) - len(rows)} rows of {KEY} are missing after the last run")
    scene.require_settled()
    print(
        f"after the last run: {len(rows):,} rows, byte for byte those of the undisturbed run; "
        "Dagster shows the same hours, no run is left over, no pool slot is held"
    )


if __name__ == "__main__":
    main()
