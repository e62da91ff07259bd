"""Which runs a launcher started, and what it says about a run that it executes elsewhere: on another machine.

Rests on these facts of Dagster 1.13.27, none of them public: `launch_run` records RUN_STARTING, which a run that a
command line executes itself lacks; `check_run_worker_health`, which Dagster's own monitoring asks too, and which may
raise anything if what it has to ask cannot be reached; `run_monitoring_max_resume_run_attempts`.
"""

import dagster as dg
from dagster._core.launcher import WorkerStatus


def is_launched(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the instance's launcher was told to execute a run."""
    return bool(instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_STARTING, limit=1).records)


def launches_elsewhere(instance: dg.DagsterInstance) -> bool:
    """Whether runs are launched in another way than Dagster does by default, as processes of the same machine."""
    return not isinstance(instance.run_launcher, dg.DefaultRunLauncher)


def lost_by_launcher(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Why the launcher holds the worker of a run for lost; None if it does not, cannot say, or is going to resume it.

    A launcher that does not know the run, or cannot be asked, says nothing: Dagster's own monitoring judges then. A run
    that ended while the launcher was asked is not lost.
    """
    launcher = instance.run_launcher
    if not launcher.supports_check_run_worker_health or instance.run_monitoring_max_resume_run_attempts > 0:
        return None
    try:
        health = launcher.check_run_worker_health(run)
    except Exception:
        return None
    absent = health.status == WorkerStatus.NOT_FOUND and run.status != dg.DagsterRunStatus.STARTING
    if health.status != WorkerStatus.FAILED and not absent:
        return None
    known = instance.get_run_by_id(run.run_id)
    return f"Its launcher says: {health.msg or health.status.value}." if known and known.status == run.status else None
