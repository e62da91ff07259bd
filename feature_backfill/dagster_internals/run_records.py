"""What the log of a single run says: how its checks came out, and why it failed.

Rests on these facts of Dagster 1.13.27, none of them public: `get_records_for_run`; a run plans each of its checks with
an event before it begins; a failed run that Dagster is going to retry has the tag `dagster/will_retry`.
"""

from collections.abc import Mapping

from dagster import AssetCheckEvaluation, AssetCheckKey, DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun

_WILL_RETRY = "dagster/will_retry"
_PLANNED, _EVALUATED = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, DagsterEventType.ASSET_CHECK_EVALUATION


def is_retried(run: DagsterRun) -> bool:
    """Whether Dagster retries a failed run by itself."""
    return run.tags.get(_WILL_RETRY) == "true"


def check_results(instance: DagsterInstance, run_id: str) -> Mapping[AssetCheckKey, AssetCheckEvaluation | None]:
    """The result of each check that a run was to make; None where it did not come to that."""
    results: dict[AssetCheckKey, AssetCheckEvaluation | None] = {}
    for event in _events(instance, run_id, {_PLANNED, _EVALUATED}):
        if event.event_type is _EVALUATED:
            evaluation = event.asset_check_evaluation_data
            results[evaluation.asset_check_key] = evaluation
        else:
            planned = event.asset_check_planned_data
            results.setdefault(AssetCheckKey(planned.asset_key, planned.check_name), None)
    return results


def failure_reason(instance: DagsterInstance, run_id: str) -> str:
    """Why a run failed, in one line: what its first failed step said or, without one, what Dagster says of the run."""
    for reason in step_failures(instance, run_id).values():
        return reason
    messages = [event.message or "" for event in _events(instance, run_id, {DagsterEventType.RUN_FAILURE})]
    return " ".join(messages[-1].split()) if messages else ""


def step_failures(instance: DagsterInstance, run_id: str) -> Mapping[str, str]:
    """What each failed step of a run said, in one line, by the key of the step."""
    said: dict[str, str] = {}
    for event in _events(instance, run_id, {DagsterEventType.STEP_FAILURE}):
        failure = event.step_failure_data
        told = failure.user_failure_data.description if failure.user_failure_data else None
        text = told or (failure.error.message if failure.error else "")
        said.setdefault(event.step_key or "", " ".join(text.split()))
    return said


def _events(instance: DagsterInstance, run_id: str, kinds: set[DagsterEventType]) -> list[DagsterEvent]:
    records = instance.get_records_for_run(run_id, of_type=kinds).records
    return [record.event_log_entry.get_dagster_event() for record in records]
