"""A backfill through the project's own assets, in this process, recorded on a Dagster instance."""

import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from feature_backfill.assets.features import FeaturesConfig
from feature_backfill.assets.names import features_key, writer_pool
from feature_backfill.automation.jobs import batch_tags, job_name
from feature_backfill.commands.shared.progress import ProgressBar
from feature_backfill.config import FeatureSet, Market
from feature_backfill.dagster_internals.bulk_events import records_in_bulk
from feature_backfill.dagster_internals.orphans import HOST_TAG, end_orphans
from feature_backfill.dagster_internals.pools import runs_in_pool
from feature_backfill.definitions import build_definitions
from feature_backfill.errors import RunError, UserError
from feature_backfill.planning.plan import Keep, Plan
from feature_backfill.planning.ranges import Range, batches
from feature_backfill.planning.wording import hours_of_features

_RUN_ERRORS = {RunError.__name__, *(kind.__name__ for kind in RunError.__subclasses__())}
_INTERRUPTS = {dg.DagsterExecutionInterruptedError.__name__, KeyboardInterrupt.__name__}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class BackfillReport:
    """What a backfill did: hours computed, and seconds from start to end."""

    computed: int
    seconds: float


def backfill(
    instance: dg.DagsterInstance,
    market: Market,
    feature_set: FeatureSet,
    ranges: Sequence[Range],
    keep: Keep = Keep.ALL,
) -> BackfillReport:
    """Materialize ranges of hours, in time order: the bars of the feature set, then its features.

    They are one run if the event log can list the hours of a run, otherwise a run for each range. While another run
    writes to the market, waits for its turn and says so.

    Raises the cause of a failed run: UserError if the operator can mend it, otherwise RunError.
    """
    started = time.perf_counter()
    progress = ProgressBar()
    job = build_definitions([market], progress).resolve_job_def(job_name(market, feature_set))
    step = features_key(market, feature_set).to_python_identifier()
    run_config = {"ops": {step: {"config": FeaturesConfig.options(keep)}}}
    end_orphans(instance)
    for batch in batches(ranges, records_in_bulk(instance)):
        _announce_other_writers(instance, market)
        execute_here(job, instance, run_config, batch_tags(batch))
    return BackfillReport(sum(report.computed for report in progress.reports), time.perf_counter() - started)


def execute_here(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    run_config: Mapping[str, object],
    tags: Mapping[str, str] | None = None,
) -> None:
    """Execute a job in this process, recorded on an instance, without a word on the terminal.

    Raises the cause of a failed run: UserError if the operator can mend it, otherwise RunError; and KeyboardInterrupt
    where Dagster made a failure of Ctrl-C.
    """
    tags = {**(tags or {}), HOST_TAG: platform.node()}
    result = job.execute_in_process(
        run_config={**QUIET, **run_config}, instance=instance, tags=tags, raise_on_error=False
    )
    if not result.success:
        raise KeyboardInterrupt if _was_interrupted(result) else _failure(result)


def _was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Whether Dagster, which takes the signals for itself while it executes, was told to stop: in a step or beside."""
    events = result.all_events
    errors = [event.step_failure_data.error for event in events if event.is_step_failure]
    errors += [event.job_failure_data.error for event in events if event.is_job_failure]
    return any(error and error.cls_name in _INTERRUPTS for error in errors)


def _announce_other_writers(instance: dg.DagsterInstance, market: Market) -> None:
    for run_id in runs_in_pool(instance, writer_pool(market)):
        print(f"waiting for run {run_id}, which writes to market {market.name}", file=sys.stderr)


def _failure(result: dg.ExecuteInProcessResult) -> UserError | RunError:
    """The failure that ended a run."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data is not None and data.user_failure_data.description:
                kind = RunError if data.error is not None and data.error.cls_name in _RUN_ERRORS else UserError
                return kind(data.user_failure_data.description)
            if data.error is not None:
                cause = data.error.cause or data.error
                return RunError(f"run {result.run_id}: {' '.join(cause.message.split())}")
    return RunError(f"run {result.run_id}: see the run in Dagster")


def summary(feature_set: FeatureSet, plan: Plan, done: BackfillReport) -> str:
    """What became of the planned hours, and how fast."""
    rate = f", {done.computed / done.seconds:.0f} hours/s with everything recorded" if done.computed else ""
    rest = f"kept {len(plan.kept)}, skipped {len(plan.skipped)}"
    computed = hours_of_features(done.computed, feature_set)
    return f"{feature_set.key}: computed {computed}, {rest} in {done.seconds:.1f} s{rate}"
