"""What a run of features reports to Dagster: an event for each of its hours, the newest of them with a summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import dagster as dg
import numpy as np
import pandas as pd

from feature_backfill.dagster_internals.reports import EventOfHours, StepContext, report_hours, skipped
from feature_backfill.dagster_internals.versions import BEFORE_ALL, VERSION_TAG, read_at
from feature_backfill.engine.bars import COLUMNS
from feature_backfill.hours import HOUR, partition_keys, utc_now
from feature_backfill.planning.plan import Plan

NUMBERED_HOURS = 200
"""The rows of a run over so few hours carry numbers to plot. A long history would take too much room with them."""

LATE = pd.Timedelta(days=1)
"""A row that was made this long after its bar closed was backfilled: how late it was says nothing."""


@dataclass(frozen=True)
class Upstream:
    """The assets that rows rest on, and the newest event of Dagster's log before their tables were read."""

    assets: Sequence[dg.AssetKey]
    newest_event: int

    def versions(self, stale: bool) -> Mapping[str, str]:
        """Tags of rows that were computed from what there is now or, if they are stale, from something else."""
        return read_at(BEFORE_ALL if stale else self.newest_event, self.assets)


def report_run(
    context: StepContext,
    asset: dg.AssetKey,
    plan: Plan,
    upstream: Upstream,
    missing_values: "pd.Series[int]",
    summary: Mapping[str, dg.MetadataValue],
) -> None:
    """Report every hour of a plan that was carried out. The newest hour's event also carries the summary of the run.

    missing_values: how many values of each computed row are missing.
    """
    events = run_events(asset, plan, upstream, missing_values, utc_now())
    if events:
        *_, newest = events
        before, last = newest.apart_from_last()
        events[-1:] = [before, replace(last, event=last.event.with_metadata({**summary, **last.event.metadata}))]
    report_hours(context, events)


def run_events(
    asset: dg.AssetKey, plan: Plan, upstream: Upstream, missing_values: "pd.Series[int]", now: pd.Timestamp
) -> list[EventOfHours]:
    """An event for each stretch of successive hours with one fate, in time order. now: UTC-naive."""
    numbers = _numbers(plan, missing_values, now)
    digests = pd.concat([plan.kept_digests, plan.digests])
    events = []
    for stretch in _stretches(plan, numbers):
        hours, fate = pd.DatetimeIndex(stretch.index), stretch.iloc[0]
        if fate["reason"]:
            events.append(EventOfHours(skipped(asset, {"skipped": fate["reason"]}), partition_keys(hours)))
            continue
        kept = {"row": fate["row"]} if fate["row"] == "kept" else {}
        event = dg.AssetMaterialization(asset, metadata=kept, tags=upstream.versions(fate["stale"]))
        values = {str(name): column.tolist() for name, column in numbers.reindex(hours).dropna(axis=1).items()}
        known = [digests.get(hour) for hour in hours]
        versions = ["unknown" if digest is None else f"{digest:016x}" for digest in known]
        events.append(EventOfHours(event, partition_keys(hours), numbers=values, tags={VERSION_TAG: versions}))
    return events


def _numbers(plan: Plan, missing_values: "pd.Series[int]", now: pd.Timestamp) -> pd.DataFrame:
    """What a computed row says in numbers: hours x (close, missing_values, seconds_late), of a run over few hours.

    seconds_late: from the close of the bar to now; NaN where that is not the time that the row took.
    """
    if len(plan.compute) > NUMBERED_HOURS:
        return pd.DataFrame(index=plan.compute)
    at = plan.rows.stamps.get_indexer(plan.compute)
    late = now - (plan.compute + HOUR)
    return pd.DataFrame(
        {
            "close": plan.rows.values[COLUMNS.index("close")][at],
            "missing_values": missing_values.reindex(plan.compute),
            "seconds_late": np.where(late < LATE, late.total_seconds(), np.nan),
        },
        index=plan.compute,
    )


def _stretches(plan: Plan, numbers: pd.DataFrame) -> list[pd.DataFrame]:
    """Each stretch of successive hours that have one fate, in time order: hours x (row, reason, stale, numbers)."""
    reasons = plan.impossible
    fates = pd.concat(
        [
            pd.DataFrame({"row": "kept", "reason": "", "stale": plan.kept.isin(plan.stale)}, index=plan.kept),
            pd.DataFrame({"row": "computed", "reason": "", "stale": False}, index=plan.compute),
            pd.DataFrame({"row": "", "reason": reasons.map(str), "stale": False}, index=reasons.index),
        ]
    ).sort_index()
    fates["numbers"] = numbers.notna().sum(axis=1).reindex(fates.index, fill_value=0)
    begins = (fates != fates.shift()).any(axis=1)
    return [stretch for _, stretch in fates.groupby(begins.cumsum())]
