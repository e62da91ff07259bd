"""Local runs whose process is gone: they would read STARTED, and keep their pool slot, for ever."""

import json
import os
import platform
from pathlib import Path

import dagster as dg
import pandas as pd
from dagster._core.storage.tags import GRPC_INFO_TAG

UNDER_WAY = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
SILENCE = pd.Timedelta(minutes=10)
"""How long a run that has not started may say nothing before it counts as lost."""

CLOCK_TOLERANCE_S = 60.0
BOOT_RECORD = f"feature_backfill/booted/{platform.node()}"
"""Under this key the instance keeps the machine's boot, as [id, lowest boot time seen]."""


def end_orphans(instance: dg.DagsterInstance, dry_run: bool = False, now: pd.Timestamp | None = None) -> list[str]:
    """End the runs whose process is gone, free the pool slots of gone processes; returns the ids of the runs ended.

    A run that was killed can do neither itself. Only runs of this machine are judged: started by a command line or by
    Dagster's default launcher. What a run had stored stays stored.

    dry_run: end and free nothing. now: UTC-naive.
    """
    if not isinstance(instance.run_launcher, dg.DefaultRunLauncher):
        return []
    _lowest_boot_time(instance)  # also while no run is going, so that it is known before a clock jumps
    gone = [run for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)) if _is_orphan(instance, run)]
    silent = _never_started(instance, pd.Timestamp.now(tz="UTC").tz_localize(None) if now is None else now)
    if not dry_run:
        for run in gone:
            _end(instance, run, "The process of this run is gone: killed, or lost with its machine.")
        for run in silent:
            _end(instance, run, f"This run said nothing for {SILENCE} before its start: its process is gone.")
        _free_slots(instance)
    return [run.run_id for run in (*gone, *silent)]


def _free_slots(instance: dg.DagsterInstance) -> None:
    """Free the slots that ended runs of gone processes hold."""
    holders = list(instance.event_log_storage.get_concurrency_run_ids())
    for run in instance.get_runs(dg.RunsFilter(run_ids=holders, statuses=ENDED)) if holders else []:
        if _is_orphan(instance, run):
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, told: str) -> None:
    told += " What it had stored stays stored."
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, told)
    else:
        instance.report_run_failed(run, told)


def _is_orphan(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run's process was on this machine and is no more. The first event of a run carries its process id."""
    host = json.loads(run.tags.get(GRPC_INFO_TAG, "{}")).get("host", "localhost")
    if host not in ("localhost", "127.0.0.1", platform.node()):
        return False
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_START).records
    if not records:
        return False
    entry = records[-1].event_log_entry
    pid = entry.get_dagster_event().pid
    return pid is not None and not process_exists(pid, entry.timestamp, _lowest_boot_time(instance))


def _never_started(instance: dg.DagsterInstance, now: pd.Timestamp) -> list[dg.DagsterRun]:
    """Runs that were killed before their first event: no process id is known of them, but they have gone silent.

    A run that a daemon created and did not queue yet is not one of them: the daemon finds it again.
    """
    before = (now - SILENCE).tz_localize("UTC")
    unstarted = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
    lost = []
    for run in instance.get_runs(dg.RunsFilter(statuses=unstarted, updated_before=before.to_pydatetime())):
        events = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
        silent = not events or events[0].timestamp < before.timestamp()
        theirs = run.status == dg.DagsterRunStatus.NOT_STARTED and run.remote_job_origin is not None
        if silent and not theirs:
            lost.append(run)
    return lost


def _lowest_boot_time(instance: dg.DagsterInstance) -> float:
    """When the machine booted, by the lowest account of this boot that was ever seen here.

    A clock that is set forward takes the boot time with it, and each process would seem to have started after the
    events that it wrote. An account that is too low merely takes a later process for the run's.
    """
    boot_id, booted = _boot()
    known = instance.daemon_cursor_storage.get_cursor_values({BOOT_RECORD}).get(BOOT_RECORD)
    known_id, known_booted = json.loads(known) if known else ("", 0.0)
    if known_id == boot_id and known_booted <= booted:
        return float(known_booted)
    instance.daemon_cursor_storage.set_cursor_values({BOOT_RECORD: json.dumps([boot_id, booted])})
    return booted


def process_exists(pid: int, at: float, booted: float) -> bool:
    """Whether the process that had a pid at a time exists; True where that cannot be told.

    at, and booted, when the machine did: seconds since 1970.
    """
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    state, started = _state_and_start(pid)
    return state != "Z" and booted + started <= at + CLOCK_TOLERANCE_S


def _state_and_start(pid: int) -> tuple[str, float]:
    """From /proc, a process's state and when it started, in seconds after boot: its pid may be that of a later one.

    Without /proc, unknown.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0.0
    return fields[0], int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _boot() -> tuple[str, float]:
    """The id and the time (seconds since 1970) of the machine's boot. Without /proc, unknown."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, StopIteration):
        return "", 0.0
    return boot_id, float(booted.split()[1])
