"""Local runs whose process is gone: they would read STARTED, and keep their pool slot, for ever."""

import json
import os
import platform
from pathlib import Path

import dagster as dg
from dagster._core.storage.tags import GRPC_INFO_TAG

UNDER_WAY = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
CLOCK_TOLERANCE_S = 60.0


def end_orphans(instance: dg.DagsterInstance) -> list[str]:
    """End the runs whose process is gone, free the pool slots of gone processes; returns the ids of the runs ended.

    A run that was killed can do neither itself. Only runs of this machine are judged: started by a command line or by
    Dagster's default launcher. What a run had stored stays stored.
    """
    if not isinstance(instance.run_launcher, dg.DefaultRunLauncher):
        return []
    orphans = [run for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)) if _is_orphan(instance, run)]
    for run in orphans:
        _end(instance, run)
    holders = list(instance.event_log_storage.get_concurrency_run_ids())
    for run in instance.get_runs(dg.RunsFilter(run_ids=holders, statuses=ENDED)) if holders else []:
        if _is_orphan(instance, run):
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in orphans]


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    told = "The process of this run is gone: killed, or lost with its machine. What it had stored stays stored."
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
    return pid is not None and not process_exists(pid, entry.timestamp)


def process_exists(pid: int, at: float) -> bool:
    """Whether the process that had a pid at a time (seconds since 1970) exists; True where that cannot be told."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    state, started = _state_and_start(pid)
    return state != "Z" and started <= at + CLOCK_TOLERANCE_S


def _state_and_start(pid: int) -> tuple[str, float]:
    """From /proc, a process's state and when it started: its pid may be that of a later one. Without /proc, unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, StopIteration):
        return "", 0.0
    return fields[0], float(booted.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
