"""The moment of its life in which a command is killed: how it is chosen, and what the command was doing then."""

import time
from dataclasses import dataclass

import dagster as dg

from feature_backfill_tests.faults.driver import Command
from feature_backfill_tests.faults.scene import Scene

DATABASE, RECORDS = range(2)  # the order of Scene.states()
LOOK_EVERY_S = 0.002
JUST_NOW_S = 0.02


@dataclass(frozen=True)
class Watched:
    """What was seen of a command until it ended or was to be killed.

    changes: how often the database and Dagster's records changed; still: seconds since each of them last did.
    """

    seconds: float
    changes: tuple[int, ...]
    still: tuple[float, ...]


def watch(
    scene: Scene,
    command: Command,
    seconds: float = float("inf"),
    which: int = DATABASE,
    changes: int | None = None,
) -> Watched:
    """Watch until the command ends, the seconds are over, or the database or the records changed so many times."""
    started = time.monotonic()
    states, seen, changed = scene.states(), [0, 0], [float("-inf")] * 2
    while command.running and time.monotonic() - started < seconds and seen[which] != changes:
        time.sleep(LOOK_EVERY_S)
        before, states = states, scene.states()
        for each in (DATABASE, RECORDS):
            if before[each] != states[each]:
                seen[each], changed[each] = seen[each] + 1, time.monotonic()
    ended = time.monotonic()
    return Watched(ended - started, tuple(seen), tuple(ended - moment for moment in changed))


def newest_run(instance: dg.DagsterInstance) -> str | None:
    """The id of the run that was created last."""
    return next((run.run_id for run in instance.get_runs(limit=1)), None)


def phase(scene: Scene, instance: dg.DagsterInstance, known: str | None, watched: Watched, has_more_rows: bool) -> str:
    """What a command that runs a backfill was doing when it was killed.

    known: the newest run before the command; has_more_rows: whether it stored any.
    """
    newest = newest_run(instance)
    if newest is None or newest == known:
        return "before the run"
    kinds = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.RUN_SUCCESS}
    records = instance.get_records_for_run(newest, of_type=kinds).records
    events = [record.event_log_entry.get_dagster_event() for record in records]
    steps = [event.step_key for event in events if event.event_type == dg.DagsterEventType.STEP_START]
    if not steps:
        return "planning the run"
    if events[-1].event_type == dg.DagsterEventType.RUN_SUCCESS:
        return "between runs or leaving"
    step = "features" if steps[-1] == scene.features.to_python_identifier() else "bars"
    if watched.still[DATABASE] < JUST_NOW_S:
        return f"writing {step}"
    if watched.still[RECORDS] < JUST_NOW_S:
        return f"recording {step}"
    if step == "bars":
        return "between writes of bars"
    return "after the commit" if has_more_rows else "reading, computing"
