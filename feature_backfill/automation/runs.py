"""What the runs of a job say about hours: which are on their way, and which have to wait because runs failed."""

from collections.abc import Iterable, Sequence

import dagster as dg
import pandas as pd

from feature_backfill.automation.jobs import tagged_hours
from feature_backfill.dagster_internals.partition_status import newest_plans
from feature_backfill.hours import hours_of

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


def is_on_its_way(
    instance: dg.DagsterInstance, job: str, statuses: Sequence[dg.DagsterRunStatus] = ON_THEIR_WAY
) -> bool:
    """Whether a run of a job is queued or going or, if they are given, has one of the statuses."""
    return bool(instance.get_run_records(dg.RunsFilter(job_name=job, statuses=statuses), limit=1))


def ended_at(record: dg.RunRecord) -> pd.Timestamp:
    """When a run that has ended did so, UTC-naive."""
    return pd.Timestamp(record.end_time or record.update_timestamp.timestamp(), unit="s")


def asked_for(instance: dg.DagsterInstance, job: str, asset: dg.AssetKey) -> pd.DatetimeIndex:
    """The hours of an asset that some run was ever meant to materialize, unless somebody canceled it; ascending."""
    hours = hours_of(newest_plans(instance, asset))
    canceled = dg.RunsFilter(statuses=[dg.DagsterRunStatus.CANCELED])
    return hours.difference(_covered(hours, _runs_about(instance, job, asset, canceled, REMEMBERED_RUNS)))


def hours_on_their_way(
    instance: dg.DagsterInstance, job: str, asset: dg.AssetKey, hours: pd.DatetimeIndex
) -> pd.DatetimeIndex:
    """Those of the hours that a queued or going run will see to: one of the job, or one that selects the asset."""
    return _covered(hours, _runs_about(instance, job, asset, dg.RunsFilter(statuses=ON_THEIR_WAY)))


def waiting_hours(
    instance: dg.DagsterInstance, job: str, asset: dg.AssetKey, hours: pd.DatetimeIndex, now: pd.Timestamp
) -> tuple[pd.DatetimeIndex, pd.Timestamp | None]:
    """Those of the hours whose last runs failed too short a time ago to ask again, and when the first of them is due.

    now: UTC-naive. The more often an hour's runs failed in a row, the longer its pause. A pause that would end later
    than the longest can was begun by a clock that has been set back since, and is over.
    """
    failures = pd.Series(0, index=hours)
    due = pd.Series(pd.Timestamp.min, index=hours)
    records = instance.get_run_records(dg.RunsFilter(statuses=ENDED), limit=REMEMBERED_RUNS)
    for record in reversed([record for record in records if _is_about(record.dagster_run, job, asset)]):
        covered = _covered(hours, [record.dagster_run])
        if record.dagster_run.status == dg.DagsterRunStatus.SUCCESS:
            failures[covered] = 0
        elif len(covered):
            failures[covered] += 1
            due[covered] = ended_at(record) + failures[covered].map(pause_after)
    waiting = (failures > 0) & (due > now) & (due <= now + LONGEST_PAUSE)
    return hours[waiting.to_numpy()], due[waiting].min() if waiting.any() else None


def _runs_about(
    instance: dg.DagsterInstance, job: str, asset: dg.AssetKey, filters: dg.RunsFilter, limit: int | None = None
) -> list[dg.DagsterRun]:
    runs = [record.dagster_run for record in instance.get_run_records(filters, limit=limit)]
    return [run for run in runs if _is_about(run, job, asset)]


def _is_about(run: dg.DagsterRun, job: str, asset: dg.AssetKey) -> bool:
    """Whether a run is one of the job, or one that selects the asset, as those of an asset backfill do."""
    return run.job_name == job or asset in (run.asset_selection or ())


def _covered(hours: pd.DatetimeIndex, runs: Iterable[dg.DagsterRun]) -> pd.DatetimeIndex:
    """Those of the hours that some of the runs are about."""
    covered = pd.Series(False, index=hours)
    for run in runs:
        covered[tagged_hours(run.tags, hours)] = True
    return hours[covered.to_numpy()]
