"""Local runs whose process is gone: they would read STARTED, and keep their pool slot, for ever.

Dagster's own monitoring (`run_monitoring`) cannot ask the default launcher whether a run's process is alive, and knows
nothing of runs of a command line. There is no public way to end a run from outside.

Rests on these facts of Dagster 1.13.27, none of them public: the first event of a run, RUN_START, carries the id of its
process; the tag `.dagster/grpc_info` names the host of the code server that started it; `report_run_failed` and
`report_run_canceled` end a run; the daemon's cursor storage keeps any text under any key.
"""

import json
import platform

import dagster as dg
import pandas as pd
from dagster._core.storage.tags import GRPC_INFO_TAG

from feature_backfill.dagster_internals.pools import free_slots, runs_in_any_pool
from feature_backfill.dagster_internals.processes import Boot, process_exists, this_boot
from feature_backfill.hours import utc_now

UNDER_WAY = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
SILENCE = pd.Timedelta(minutes=10)
"""How long a run that has not started may log nothing before it counts as lost."""

BOOT_RECORD = f"feature_backfill/booted/{platform.node()}"
"""Under this key the instance keeps the machine's boot: its id and the lowest time seen of it."""


def end_orphans(instance: dg.DagsterInstance, dry_run: bool = False, now: pd.Timestamp | None = None) -> list[str]:
    """End the runs whose process is gone, free the pool slots of such processes; returns the ids of the runs ended.

    A run that was killed can do neither itself. Only runs of this machine are judged: started by a command line or by
    Dagster's default launcher. What a run had stored stays stored.

    dry_run: end and free nothing. now: UTC-naive.
    """
    if not isinstance(instance.run_launcher, dg.DefaultRunLauncher):
        return []
    _lowest_boot_time(instance)  # also while no run is going, so that it is known before a clock jumps
    gone = [run for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)) if _is_orphan(instance, run)]
    silent = _never_started(instance, utc_now() if now is None else now)
    if not dry_run:
        for run in gone:
            _end(instance, run, "The process of this run is gone: killed, or lost with its machine.")
        for run in silent:
            _end(instance, run, f"This run logged nothing for {SILENCE} before its start: its process is gone.")
        _free_slots_of_ended(instance)
    return [run.run_id for run in (*gone, *silent)]


def _free_slots_of_ended(instance: dg.DagsterInstance) -> None:
    """Free the slots that ended runs of gone processes hold."""
    holders = list(runs_in_any_pool(instance))
    for run in instance.get_runs(dg.RunsFilter(run_ids=holders)) if holders else []:
        if run.is_finished and _is_orphan(instance, run):
            free_slots(instance, run.run_id)


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    message = f"{reason} What it had stored stays stored."
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)


def _is_orphan(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run's process was on this machine and is gone."""
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
    """Runs that were killed before their first event: no process id is known of them, but they log nothing any more.

    A run that a daemon created and has not queued yet is not one of them: the daemon finds it again.
    """
    before = (now - SILENCE).tz_localize("UTC")
    unstarted = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
    lost = []
    for run in instance.get_runs(dg.RunsFilter(statuses=unstarted, updated_before=before.to_pydatetime())):
        events = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
        silent = not events or events[0].timestamp < before.timestamp()
        of_the_daemon = run.status == dg.DagsterRunStatus.NOT_STARTED and run.remote_job_origin is not None
        if silent and not of_the_daemon:
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
