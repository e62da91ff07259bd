"""What the runs of a job say about hours: which are on their way, and which have to wait because runs failed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg
import pandas as pd

from feature_backfill.automation.jobs import tagged_hours
from feature_backfill.dagster_internals.listed_hours import hours_of_text
from feature_backfill.dagster_internals.partition_status import newest_plans
from feature_backfill.hours import hours_of

NEW_HOURS = "new_hours"
"""The job that computes new hours of any number of feature sets in one run."""

ASSET_RUNS = "__ASSET_JOB"
"""The job by whose name Dagster runs assets that are no job's."""

ON_THEIR_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
FIRST_PAUSE = pd.Timedelta(minutes=2)
LONGEST_PAUSE = pd.Timedelta(hours=6)
REMEMBERED_RUNS = 200


def pause_after(failures: int) -> pd.Timedelta:
    """How long to wait after the last of `failures` (1 or more) in a row: 2 minutes, 4, 8, ... at most 6 hours."""
    return min(FIRST_PAUSE * 2 ** min(failures - 1, 16), LONGEST_PAUSE)


def due_after(last: dg.RunRecord, failures: int, now: pd.Timestamp) -> pd.Timestamp | None:
    """When a job is due again after its last runs, of which `failures` (1 or more) in a row count; None if it is now.

    last: the last run that has ended. now: UTC-naive. A pause that ends later than the longest can was begun by a clock
    that has been set back since, and is over.
    """
    due = ended_at(last) + pause_after(failures)
    return due if now < due <= now + LONGEST_PAUSE else None


def ended_at(record: dg.RunRecord) -> pd.Timestamp:
    """When a run that has ended did so, UTC-naive."""
    return pd.Timestamp(record.end_time or record.update_timestamp.timestamp(), unit="s")


class Runs:
    """The runs of an instance, as they were when they were first asked for: a sensor makes one for each tick.

    assets: of which last_run is asked; by default of any.
    """

    def __init__(self, instance: dg.DagsterInstance, assets: Sequence[dg.AssetKey] | None = None):
        self.instance = instance
        self._assets = assets
        self._ended_of: dict[str, list[dg.RunRecord]] = {}
        self._plans_of: dict[dg.AssetKey, Mapping[str, int]] = {}

    @cached_property
    def on_their_way(self) -> list[dg.DagsterRun]:
        """Queued and going runs of all jobs."""
        return [record.dagster_run for record in self.instance.get_run_records(dg.RunsFilter(statuses=ON_THEIR_WAY))]

    @cached_property
    def canceled(self) -> list[dg.DagsterRun]:
        """The newest runs that somebody canceled."""
        canceled = dg.RunsFilter(statuses=[dg.DagsterRunStatus.CANCELED])
        return [record.dagster_run for record in self.instance.get_run_records(canceled, limit=REMEMBERED_RUNS)]

    def about(self, job: str, asset: dg.AssetKey) -> list[dg.DagsterRun]:
        """Queued and going runs about an asset."""
        return [run for run in self.on_their_way if is_about(run, job, asset)]

    def of_new_hours(self, job: str) -> int:
        """How many hours of the feature set of a job queued and going runs of NEW_HOURS are about."""
        texts = [hours_by_job(run).get(job) for run in self.on_their_way]
        return sum(len(hours_of_text(text)) for text in texts if text is not None)

    def plans(self, asset: dg.AssetKey) -> Mapping[str, int]:
        """As newest_plans gives them."""
        if asset not in self._plans_of:
            self._plans_of[asset] = newest_plans(self.instance, asset)
        return self._plans_of[asset]

    def last_run(self, asset: dg.AssetKey) -> str:
        """The id of the last run that was to materialize an asset; empty if none was. If it failed, it may have left
        hours to ask for."""
        return self._last_runs.get(asset, "")

    def ended_about(self, job: str, asset: dg.AssetKey) -> list[dg.RunRecord]:
        """The newest runs that ended and were about an asset, oldest first."""
        records = [record for name in (job, NEW_HOURS, ASSET_RUNS) for record in self._ended(name)]
        about = [record for record in records if is_about(record.dagster_run, job, asset)]
        return sorted(about, key=lambda record: record.storage_id)

    def is_on_its_way(self, job: str, statuses: Sequence[dg.DagsterRunStatus] = ON_THEIR_WAY) -> bool:
        """Whether a run of a job is queued or going or, if they are given, has one of the statuses."""
        return any(run.job_name == job and run.status in statuses for run in self.on_their_way)

    @cached_property
    def _last_runs(self) -> dict[dg.AssetKey, str]:
        records = self.instance.get_asset_records(self._assets)
        return {record.asset_entry.asset_key: record.asset_entry.last_run_id or "" for record in records}

    def _ended(self, job: str) -> list[dg.RunRecord]:
        if job not in self._ended_of:
            ended = dg.RunsFilter(job_name=job, statuses=ENDED)
            self._ended_of[job] = list(self.instance.get_run_records(ended, limit=REMEMBERED_RUNS))
        return self._ended_of[job]


def asked_for(runs: Runs, job: str, asset: dg.AssetKey) -> pd.DatetimeIndex:
    """The hours of an asset that some run was ever meant to materialize, unless somebody canceled it; ascending."""
    hours = hours_of(runs.plans(asset))
    return hours.difference(_covered(hours, [run for run in runs.canceled if is_about(run, job, asset)], job))


def hours_on_their_way(runs: Runs, job: str, asset: dg.AssetKey, hours: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Those of the hours that a queued or going run will see to: one of the job, or one that selects the asset."""
    return _covered(hours, runs.about(job, asset), job)


@dataclass(frozen=True)
class Failures:
    """Hours whose last runs failed.

    waiting: those that failed too short a time ago to ask again. due: when the first of them is asked for again.
    most: how many runs in a row failed on the unluckiest of all hours that were looked at.
    """

    waiting: pd.DatetimeIndex
    due: pd.Timestamp | None
    most: int


def failures_of(runs: Runs, job: str, asset: dg.AssetKey, hours: pd.DatetimeIndex, now: pd.Timestamp) -> Failures:
    """What the last runs of hours say about asking again.

    now: UTC-naive. The more often an hour's runs failed in a row, the longer its pause. A pause that would end later
    than the longest can was begun by a clock that has been set back since, and is over.
    """
    failures = pd.Series(0, index=hours)
    due = pd.Series(pd.Timestamp.min, index=hours)
    for record in runs.ended_about(job, asset):
        covered = _covered(hours, [record.dagster_run], job)
        if record.dagster_run.status == dg.DagsterRunStatus.SUCCESS:
            failures[covered] = 0
        elif len(covered):
            failures[covered] += 1
            due[covered] = ended_at(record) + failures[covered].map(pause_after)
    waiting = (failures > 0) & (due > now) & (due <= now + LONGEST_PAUSE)
    return Failures(
        hours[waiting.to_numpy()],
        due[waiting].min() if waiting.any() else None,
        int(failures.max()) if len(hours) else 0,
    )


def is_about(run: dg.DagsterRun, job: str, asset: dg.AssetKey) -> bool:
    """Whether a run is one of the job, one that selects the asset, as those of an asset backfill do, or one of new
    hours of several feature sets, the job's among them."""
    return run.job_name == job or asset in (run.asset_selection or ()) or job in hours_by_job(run)


def hours_by_job(run: dg.DagsterRun) -> Mapping[str, str]:
    """The hours of a run of NEW_HOURS, as text, by the name of the job of their feature set; empty for another run."""
    if run.job_name != NEW_HOURS:
        return {}
    ops: Any = run.run_config.get("ops", {})
    hours: Mapping[str, str] = ops.get(f"{NEW_HOURS}_op", {}).get("config", {}).get("hours", {})
    return hours


def _covered(hours: pd.DatetimeIndex, runs: Iterable[dg.DagsterRun], job: str) -> pd.DatetimeIndex:
    """Those of the hours that some of the runs are about."""
    covered = pd.Series(False, index=hours)
    for run in runs:
        text = hours_by_job(run).get(job)
        about = tagged_hours(run.tags, hours) if text is None else hours.intersection(hours_of_text(text))
        covered[about] = True
    return hours[covered.to_numpy()]
