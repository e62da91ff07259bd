"""Runs of a market's own job in this process, and what they said."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from feature_backfill.automation.jobs import job_name, range_tags
from feature_backfill.commands.shared.backfill import QUIET
from feature_backfill.config import Market
from feature_backfill.definitions import build_definitions


def run_range(
    instance: dg.DagsterInstance,
    market: Market,
    first: pd.Timestamp,
    last: pd.Timestamp,
    *,
    job: str | None = None,
    only: Sequence[dg.AssetKey] | None = None,
    tags: Mapping[str, str] | None = None,
    run_config: Mapping[str, Any] = QUIET,
) -> dg.ExecuteInProcessResult:
    """Run a job over a range of hours. A failed run is returned, not raised.

    job: by default that of the market's first feature set.
    only: the assets to materialize; by default the bars and the features.
    """
    name = job_name(market, market.feature_sets[0]) if job is None else job
    return (
        build_definitions([market])
        .resolve_job_def(name)
        .execute_in_process(
            instance=instance,
            asset_selection=only,
            tags={**range_tags(first, last), **(tags or {})},
            run_config=run_config,
            raise_on_error=False,
        )
    )


def failures(events: Iterable[dg.DagsterEvent]) -> list[str]:
    """The description of each failed step among the events of a run."""
    failed = [event.step_failure_data.user_failure_data for event in events if event.is_step_failure]
    return [failure.description for failure in failed]


def reasons(instance: dg.DagsterInstance, asset: dg.AssetKey) -> dict[str, str]:
    """Why hours were skipped, by partition key, as Dagster's pages show it."""
    records = instance.fetch_failed_materializations(asset, limit=1000).records
    found = {}
    for record in records:
        failure = (
            record.event_log_entry.get_dagster_event().asset_failed_to_materialize_data.asset_materialization_failure
        )
        found.setdefault(record.partition_key, failure.metadata["skipped"].value)
    return found
