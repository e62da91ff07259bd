"""From hours to the runs that are asked for: a run costs a second, one more hour in it next to nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from feature_backfill.hours import contiguous_runs, hour_range
from feature_backfill.planning.plan import Plan

Range = tuple[pd.Timestamp, pd.Timestamp]
"""First and last hour, both included."""


@dataclass(frozen=True)
class Batch:
    """The hours of one run: every hour from first to last or, where `only` lists hours, these of them."""

    first: pd.Timestamp
    last: pd.Timestamp
    only: pd.DatetimeIndex | None = None


def batches(ranges: Sequence[Range], can_list: bool) -> list[Batch]:
    """The runs that ranges (in time order) make: one for all of them if a run can list its hours, else one for each."""
    if len(ranges) < 2 or not can_list:
        return [Batch(first, last) for first, last in ranges]
    hours = hours_of_ranges(ranges)
    return [Batch(hours[0], hours[-1], only=hours)]


def hours_of_ranges(ranges: Sequence[Range]) -> pd.DatetimeIndex:
    """Every hour of ranges, in their order."""
    if not ranges:
        return pd.DatetimeIndex([], dtype="datetime64[us]")
    return pd.DatetimeIndex(np.concatenate([hour_range(first, last) for first, last in ranges]))


def ranges_of_command(plan: Plan, listed: bool) -> list[Range]:
    """The ranges that a command runs, each as long as it can be without touching a kept hour.

    listed: whether the plan is about a list of hours; the hours between them are then not asked for.

    A range goes on over hours that cannot be computed, so that their reasons are recorded. If nothing can be computed
    and nothing is stored, there are ranges for the reasons alone.
    """
    hours = plan.present
    passable = (hours if listed else hour_range(hours[0], hours[-1])).difference(plan.kept)
    if plan.compute.empty and plan.kept.empty:
        return list(contiguous_runs(passable))
    return _ranges_with(plan.compute, passable)


def ranges_of_sensor(
    plan: Plan, asked: pd.DatetimeIndex, excluded: pd.DatetimeIndex, stored: pd.DatetimeIndex
) -> list[Range]:
    """The ranges that a sensor asks for: the asked hours, without a stored or excluded hour between them.

    A range goes on over hours that cannot be computed. After the newest stored hour it also begins with them, so that
    the run records their reasons.
    """
    if asked.empty:
        return []
    passable = plan.not_kept.union(plan.absent).difference(excluded)
    ranges = []
    for first, last in _ranges_with(asked, passable[passable <= asked[-1]]):
        inside = asked[(asked >= first) & (asked <= last)]
        is_news = stored.empty or first > stored[-1]
        ranges.append((first if is_news else inside[0], inside[-1]))
    return ranges


def _ranges_with(wanted: pd.DatetimeIndex, passable: pd.DatetimeIndex) -> list[Range]:
    """The contiguous ranges of passable hours that hold a wanted one; both ascending."""
    return [
        (first, last)
        for first, last in contiguous_runs(passable)
        if wanted.searchsorted(first) < wanted.searchsorted(last, side="right")
    ]
