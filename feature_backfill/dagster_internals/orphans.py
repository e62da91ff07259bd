"""Runs whose process is gone: they would read STARTED, and keep their pool slot, for ever.

Dagster's own monitoring (`run_monitoring`) cannot ask the default launcher whether a run's process is alive, and knows
nothing of runs of a command line. There is no public way to end a run from outside.

A process id means something on its own machine only. Runs that were launched elsewhere are judged by their launcher. A
run of a command line says in a tag which machine it is on, and no other machine judges it.

Rests on these facts of Dagster 1.13.27, none of them public: the first event of a run, RUN_START, carries the id of its
process; the tag `.dagster/grpc_info` names the host of the code server that started it; `report_run_failed` and
`report_run_canceled` end a run; the daemon's cursor storage keeps any text under any key.
"""

import json
import platform

import dagster as dg
import pandas as pd
from dagster._core.storage.tags import GRPC_INFO_TAG

from feature_backfill.dagster_internals.launched import is_launched, launches_elsewhere, lost_by_launcher
from feature_backfill.dagster_internals.pools import free_slots, runs_in_any_pool
from feature_backfill.dagster_internals.processes import Boot, process_exists, this_boot
from feature_backfill.hours import utc_now

UNDER_WAY = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
HOST_TAG = "feature_backfill/host"
"""Of a run of a command line: the name of the machine it is on."""
SILENCE = pd.Timedelta(minutes=10)
"""How long a run that has not started may log nothing before it counts as lost."""

BOOT_RECORD = f"feature_backfill/booted/{platform.node()}"
"""Under this key the instance keeps the machine's boot: its id and the lowest time seen of it."""


def end_orphans(instance: dg.DagsterInstance, dry_run: bool = False, now: pd.Timestamp | None = None) -> list[str]:
    """End the runs whose process is gone, free the pool slots of such processes; returns the ids of the runs ended.

    A run that was killed can do neither itself. Judged are runs of this machine, started by a command line or by
    Dagster's default launcher, and those that another launcher calls lost. What a run had stored stays stored.

    dry_run: end and free nothing. now: UTC-naive.
    """
    _lowest_boot_time(instance)  # also while no run is going, so that it is known before a clock jumps
    going = instance.get_runs(dg.RunsFilter(statuses=[*UNDER_WAY, dg.DagsterRunStatus.STARTING]))
    lost = [(run, reason) for run in going if (reason := _why_lost(instance, run))]
    silence = f"This run logged nothing for {SILENCE} before its start: its process is gone."
    lost += [(run, silence) for run in _never_started(instance, utc_now() if now is None else now)]
    if not dry_run:
        for run, reason in lost:
            _end(instance, run, reason)
        _free_slots_of_ended(instance)
    return [run.run_id for run, _ in lost]


def _free_slots_of_ended(instance: dg.DagsterInstance) -> None:
    """Free the slots that ended runs of lost processes hold."""
    holders = list(runs_in_any_pool(instance))
    for run in instance.get_runs(dg.RunsFilter(run_ids=holders)) if holders else []:
        if run.is_finished and _why_lost(instance, run):
            free_slots(instance, run.run_id)


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    message = f"{reason} What it had stored stays stored."
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)


def _why_lost(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Why a run that has a process, or had one, counts as lost; None if nothing shows it."""
    if launches_elsewhere(instance) and is_launched(instance, run):
        lost = lost_by_launcher(instance, run)
        return f"The process of this run is lost. {lost}" if lost else None
    if not _is_of_this_machine(instance, run):
        return None
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_START).records
    if not records:
        return None
    entry = records[-1].event_log_entry
    pid = entry.get_dagster_event().pid
    if pid is None or process_exists(pid, entry.timestamp, _lowest_boot_time(instance)):
        return None
    return "The process of this run is gone: killed, or lost with its machine."


def _is_of_this_machine(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run that no launcher executes elsewhere has, or had, a process of this machine.

    Where nothing is launched elsewhere, so is a run that does not say where it is.
    """
    server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}")).get("host")
    host = run.tags.get(HOST_TAG) or server or ("" if launches_elsewhere(instance) else "localhost")
    return host in ("localhost", "127.0.0.1", platform.node())


def _never_started(instance: dg.DagsterInstance, now: pd.Timestamp) -> list[dg.DagsterRun]:
    """Runs that were killed before their first event: no process id is known of them, but they log nothing any more.

    A run that a daemon created and has not queued yet is not one of them: the daemon finds it again. Nor is one that
    waits elsewhere for its launcher.
    """
    before = (now - SILENCE).tz_localize("UTC")
    unstarted = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
    lost = []
    for run in instance.get_runs(dg.RunsFilter(statuses=unstarted, updated_before=before.to_pydatetime())):
        events = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
        silent = not events or events[0].timestamp < before.timestamp()
        of_the_daemon = run.status == dg.DagsterRunStatus.NOT_STARTED and run.remote_job_origin is not None
        if silent and not of_the_daemon and not (launches_elsewhere(instance) and is_launched(instance, run)):
            lost.append(run)
    return lost


def _lowest_boot_time(instance: dg.DagsterInstance) -> float:
    """When the machine booted: the lowest time that this boot was ever seen to have.

    A clock that is set forward takes the boot time with it, and each process would seem to have started after the
    events that it wrote. A boot time that is too low merely takes a later process for the run's.
    """
    boot = this_boot()
    known = instance.daemon_cursor_storage.get_cursor_values({BOOT_RECORD}).get(BOOT_RECORD)
    lowest = Boot(*json.loads(known)) if known else None
    if lowest is not None and lowest.id == boot.id and lowest.time <= boot.time:
        return lowest.time
    instance.daemon_cursor_storage.set_cursor_values({BOOT_RECORD: json.dumps(boot)})
    return boot.time
