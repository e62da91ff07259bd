"""The launcher of dagster-ray, for an instance that runs of a command line are recorded on too.

A node that Ray gives up, because its raylet or the head died, ends the processes that its jobs consist of. Of a command
that a shell calls it ends the shell only: the run would go on, beside the one by which Dagster replaces it.

Rests on these facts of Dagster 1.13.27 and dagster-ray 0.4.8, none of them public: Dagster's monitoring asks the
launcher about every run that is going, also about one that it did not launch; of a job that Ray does not know the
launcher says UNKNOWN; the monitoring marks a run as failed unless the launcher says that it runs or has succeeded.
`_launch_ray_job` takes the shell's command.
"""

from dagster import DagsterRun
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_ray import RayRunLauncher as LauncherOfDagsterRay

from feature_backfill.dagster_internals.launched import is_launched


class RayRunLauncher(LauncherOfDagsterRay):  # type: ignore[misc]
    """Submits runs to a Ray cluster, configured as dagster-ray's. It vouches for runs that it did not launch.

    Those that it launches end with their node.

    Switched on in `$DAGSTER_HOME/dagster.yaml`; configs/cluster/dagster.yaml shows how.
    """

    def _launch_ray_job(self, submission_id: str, entrypoint: str, run: DagsterRun) -> None:
        super()._launch_ray_job(submission_id, f"exec {entrypoint}", run)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """How the Ray job of a run is. A run without one is judged on its own machine, by the project's sensors."""
        if not is_launched(self._instance, run):
            return CheckRunHealthResult(WorkerStatus.RUNNING, "a command line executes this run itself")
        return super().check_run_worker_health(run)
