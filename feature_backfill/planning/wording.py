"""Plans in words: the lines and the table of a dry run, the message of a sensor."""

from collections.abc import Iterator

import pandas as pd

from feature_backfill.config import FeatureSet
from feature_backfill.engine.soundness import SkipKind, by_kind
from feature_backfill.hours import contiguous_runs, hour_range
from feature_backfill.planning.plan import Plan
from feature_backfill.planning.request import Request

LISTED_HOURS = 10
LISTED_RANGES = 20


def counts(plan: Plan) -> dict[str, int]:
    """How many hours of a plan have which fate."""
    return {
        "compute": len(plan.compute),
        "stored": len(plan.kept),
        "cannot be computed": len(plan.skipped),
        "not in OHLCV": len(plan.absent),
        "not closed yet": len(plan.open),
    }


def plan_table(plan: Plan) -> str:
    """A plan as a Markdown table: one line a contiguous range of hours with one fate, the oldest range first.

    Of each fate, at most LISTED_RANGES ranges.
    """
    lines = ["| | hours | first | last | e.g. |", "|---|---|---|---|---|"]
    for fate, hours, example in _fates(plan):
        ranges = contiguous_runs(hours)
        lines += [
            f"| {fate} | {len(hour_range(first, last))} | {first} | {last} | {example} |"
            for first, last in ranges[:LISTED_RANGES]
        ]
        if len(ranges) > LISTED_RANGES:
            lines.append(f"| {fate} | {len(hours)} in all | | | {len(ranges) - LISTED_RANGES} more ranges |")
    return "\n".join(lines)


def _fates(plan: Plan) -> Iterator[tuple[str, pd.DatetimeIndex, str]]:
    """Each fate, its hours, and the details of the newest reason."""
    yield "compute", plan.compute, ""
    yield "stored", plan.kept, ""
    yield "not in OHLCV", plan.absent, ""
    for kind, reasons in by_kind(plan.skipped):
        yield f"cannot be computed: {kind}", pd.DatetimeIndex(reasons.index), reasons.iloc[-1].details
    yield "not closed yet", plan.open, ""


def dry_run_lines(feature_set: FeatureSet, asked: str, plan: Plan, verbose: bool = False) -> list[str]:
    """A plan as lines of text: what would be done, the hours to compute, and the skipped hours by kind of reason.

    verbose: list every hour to compute. Otherwise only the first LISTED_HOURS and the last are listed.
    """
    compute = hours_of_features(len(plan.compute), feature_set)
    head = f"plan for {feature_set.key}, {asked}: compute {compute}, keep {len(plan.kept)}, skip {len(plan.skipped)}"
    listed = plan.compute if verbose else plan.compute[:LISTED_HOURS]
    rest = [f"  ... to {plan.compute[-1]}"] if len(listed) < len(plan.compute) else []
    return [head, *(f"  {hour}" for hour in listed), *rest, *skip_lines(plan.skipped)]


def hours_of_features(hours: int, feature_set: FeatureSet) -> str:
    """A number of hours together with the number of features that each row of them has."""
    return f"{hours} hours of {len(feature_set.names)} features"


def skip_lines(skipped: pd.Series) -> list[str]:
    """One line a kind of reason: how many hours, from when to when, and the newest of the reasons."""
    lines = []
    for kind, reasons in by_kind(skipped):
        first, last, example = reasons.index[0], reasons.index[-1], reasons.iloc[-1].details
        lines.append(f"skipped {len(reasons)} hours, {kind}: {first} .. {last} (e.g. {example})")
    return lines


def request_message(plan: Plan, request: Request, due: pd.Timestamp | None) -> str:
    """What a sensor asks for and what it does not, and why. due: when the first of the waiting hours is asked for."""
    asked, later, moving, waiting = request.hours, request.later, request.moving, request.waiting
    parts = []
    if len(asked):
        parts.append(f"asked for {len(asked)} hours in {len(request.ranges)} ranges, {asked[0]} .. {asked[-1]}")
    if later:
        parts.append(f"{later} more in the next ticks")
    if len(moving):
        parts.append(f"{len(moving)} hours are queued or being computed")
    if len(waiting):
        parts.append(f"{len(waiting)} hours failed, asked for again from {due:%Y-%m-%d %H:%M} UTC")
    return "; ".join(parts) + impossible_hours(plan)


def impossible_hours(plan: Plan) -> str:
    """How many hours cannot be computed and why, as the end of a message."""
    parts = []
    for kind, reasons in by_kind(plan.impossible):
        newest, count = reasons.index[-1], len(reasons)
        if kind is SkipKind.ABSENT:
            parts.append(f"{count} have no row in OHLCV (newest {newest})")
        else:
            parts.append(f"{count} cannot be computed, {kind} (newest {newest}: {reasons.iloc[-1].details})")
    return "".join(f"; {part}" for part in parts)
