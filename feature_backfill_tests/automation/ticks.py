"""Ticks of the project's own sensors, and the runs that they ask for, on a real instance."""

import dagster as dg
from dagster._core.events import DagsterEvent
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from feature_backfill.automation.jobs import tagged_range
from feature_backfill.dagster_internals.listed_hours import hours_of_text

EVENTS = {
    dg.DagsterRunStatus.QUEUED: dg.DagsterEventType.RUN_ENQUEUED,
    dg.DagsterRunStatus.STARTED: dg.DagsterEventType.RUN_START,
}


class Sensor:
    """A sensor that keeps its cursor from tick to tick."""

    def __init__(self, instance: dg.DagsterInstance, definitions: dg.Definitions, name: str):
        self.instance = instance
        self.definitions = definitions
        self.sensor = self.definitions.get_repository_def().get_sensor_def(name)
        self.cursor: str | None = None
        self.message = ""

    def tick(self):
        """The run requests of a tick. The events that it reports are stored, as the daemon does."""
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=self.definitions
        ) as context:
            data = self.sensor.evaluate_tick(context)
        self.cursor, self.message = data.cursor, data.skip_message
        for event in data.asset_events:
            self.instance.report_runless_asset_event(event)
        return data.run_requests or []

    def ranges(self):
        """The first and last hours that a tick asks for."""
        return [asked_range(request) for request in self.tick()]

    def job(self, request) -> dg.JobDefinition:
        (target,) = {request.job_name or target.job_name for target in self.sensor.targets}
        return self.definitions.resolve_job_def(target)

    def execute(self, requests):
        """Run each request in this process."""
        return [
            self.job(request).execute_in_process(
                instance=self.instance,
                tags=dict(request.tags),
                run_config=dict(request.run_config),
                raise_on_error=False,
            )
            for request in requests
        ]

    def create_run(self, request, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        """The run of a request, at the given point of its life."""
        location = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("feature_backfill"), "__repository__")
        job = self.job(request)
        origin = RemoteJobOrigin(location, job.name)
        run = self.instance.create_run_for_job(
            job, tags=dict(request.tags), run_config=dict(request.run_config), remote_job_origin=origin
        )
        event = DagsterEvent(EVENTS[status].value, run.job_name, message=f"now {status.value}")
        self.instance.report_dagster_event(event, run.run_id)
        return run


def asked_range(request):
    """The first and the last hour of a request."""
    if not request.run_config:
        return tagged_range(request.tags)
    hours = asked_hours(request)
    return hours[0], hours[-1]


def asked_hours(request, job=None):
    """The hours of a request of the sensor new_hours: of the feature set with a job, or of the only one."""
    hours = request.run_config["ops"]["new_hours_op"]["config"]["hours"]
    (text,) = hours.values() if job is None else [hours[job]]
    return hours_of_text(text)
