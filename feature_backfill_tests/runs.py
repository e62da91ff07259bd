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
    only: Sequence[dg.AssetKey] | None = None,
    tags: Mapping[str, str] | None = None,
    run_config: Mapping[str, Any] = QUIET,
) -> dg.ExecuteInProcessResult:
    """Run the job of the market's first feature set over a range of hours. A failed run is returned, not raised.

    only: the assets to materialize; by default the bars and the features.
    """
    job = build_definitions([market]).resolve_job_def(job_name(market, market.feature_sets[0]))
    return job.execute_in_process(
        instance=instance,
        asset_selection=only,
        tags={**range_tags(first, last), **(tags or {})},
        run_config=run_config,
        raise_on_error=False,
    )


def failures(events: Iterable[dg.DagsterEvent]) -> list[str]:
    """The description of each failed step among the events of a run."""
    failed = [event.step_failure_data.user_failure_data for event in events if event.is_step_failure]
    return [failure.description for failure in failed]
