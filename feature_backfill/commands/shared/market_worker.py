"""The history of one market: selected, planned and run in a process beside those of other markets."""

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pandas as pd

from feature_backfill.assets.decisions import plan_of
from feature_backfill.assets.progress import ProgressListener
from feature_backfill.automation.jobs import job_name
from feature_backfill.automation.new_hours import new_hours_config
from feature_backfill.automation.runs import NEW_HOURS
from feature_backfill.commands.shared.backfill import BackfillReport, execute_here
from feature_backfill.commands.shared.hours import Selection, require_begun, select_between
from feature_backfill.commands.shared.instance import dagster_instance
from feature_backfill.commands.shared.run_report import run_fields
from feature_backfill.config import FeatureSet, Market
from feature_backfill.dagster_internals.listed_hours import hours_as_text
from feature_backfill.definitions import build_definitions
from feature_backfill.errors import RunError, UserError
from feature_backfill.hours import last_closed_hour
from feature_backfill.planning.plan import Keep, Plan
from feature_backfill.planning.ranges import Range, hours_of_ranges, ranges_of_command
from feature_backfill.planning.standing import hours_between


class Messages(Protocol):
    """Where a worker says what it has done: ("planned" or "stored", a number of hours), ("begun", a market)."""

    def put(self, message: tuple[str, int | str]) -> None:
        """Say it."""


@dataclass(frozen=True)
class Task:
    """What is asked for of each market. start, end: UTC-naive; None: all history. at_most: hours of a feature set."""

    start: pd.Timestamp | None
    end: pd.Timestamp | None
    keep: Keep
    at_most: int
    dry_run: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a market. feature_sets: as run_fields gives them. error: why it failed, if it did."""

    market: str
    seconds: float
    feature_sets: list[dict[str, Any]]
    error: str | None = None


@dataclass(frozen=True)
class _Planned:
    """What is to be done for a feature set; no plan where nothing is selected."""

    feature_set: FeatureSet
    selection: Selection
    plan: Plan | None = None
    ranges: tuple[Range, ...] = ()


class _Counts(ProgressListener):
    """Counts the stored hours of each feature key, and passes them on."""

    def __init__(self, messages: Messages) -> None:
        self.stored_under = Counter[str]()
        self._messages = messages
        self._key = ""

    def planned(self, feature_key: str, hours: int) -> None:
        """Pass on how many hours are added to what is to be done."""
        self._key = feature_key
        self._messages.put(("planned", hours))

    def stored(self, hours: int) -> None:
        """Count, and pass on."""
        self.stored_under[self._key] += hours
        self._messages.put(("stored", hours))


def fill(market: Market, task: Task, messages: Messages) -> Outcome:
    """Compute what a market lacks of all its feature sets, as one run: its bars once, then one set after the other.

    An error is part of the outcome: other markets must not wait for it.
    """
    started = time.perf_counter()
    counts, planned, error = _Counts(messages), list[_Planned](), None
    try:
        require_begun(market)
        planned += [_planned(market, feature_set, task) for feature_set in market.feature_sets]
        if not task.dry_run:
            _run(market, planned, task.keep, counts)
    except (UserError, RunError) as raised:
        error = str(raised).removeprefix(f"{market.name}: ")
    except Exception as raised:  # a bug that one market brings to light must not keep the others waiting
        error = repr(raised)
    seconds = time.perf_counter() - started
    fields = [_fields(market, each, counts, task, seconds) for each in planned]
    if error is None and not task.dry_run:
        for each in fields:  # what somebody else stored meanwhile
            each["kept"] += each["planned"] - each["computed"]
    return Outcome(market.name, seconds, fields, error)


def _planned(market: Market, feature_set: FeatureSet, task: Task) -> _Planned:
    first = market.first_hour if task.start is None else max(task.start, market.first_hour)
    last = last_closed_hour() if task.end is None else task.end
    if first > last:
        nothing = f"nothing until {last}: the market begins at {market.first_hour}"
        return _Planned(feature_set, Selection(pd.DatetimeIndex([]), "", nothing))
    selection = select_between(market, first, last)
    if task.start is None and len(selection.hours):  # all history begins with OHLCV
        selection = replace(selection, absent=selection.absent - hours_between(first, selection.hours[0]))
    if selection.nothing:
        return _Planned(feature_set, selection)
    plan = plan_of(market, feature_set, selection.hours, task.keep).at_most(task.at_most)
    return _Planned(feature_set, selection, plan, tuple(ranges_of_command(plan, listed=False)))


def _run(market: Market, planned: list[_Planned], keep: Keep, counts: _Counts) -> None:
    """Raises the cause of a failed run."""
    hours = {
        job_name(market, each.feature_set): hours_as_text(hours_of_ranges(each.ranges))
        for each in planned
        if each.ranges
    }
    if hours:
        job = build_definitions([market], counts).resolve_job_def(NEW_HOURS)
        with dagster_instance(records_runs=False) as instance:
            execute_here(job, instance, new_hours_config(hours, keep))


def _fields(market: Market, each: _Planned, counts: _Counts, task: Task, seconds: float) -> dict[str, Any]:
    done = None if task.dry_run else BackfillReport(counts.stored_under[each.feature_set.key], seconds)
    return run_fields(market, each.feature_set, each.selection, each.plan, each.ranges, done)
