"""Plans in words: the lines and the table of a dry run, the message of a sensor."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from feature_backfill.config import FeatureSet
from feature_backfill.engine.soundness import by_kind
from feature_backfill.hours import HOUR, hour_range
from feature_backfill.planning.counting import COMPUTABLE, OPEN, STORED
from feature_backfill.planning.plan import Plan
from feature_backfill.planning.request import Request

LISTED_HOURS = 10
LISTED_STRETCHES = 10


@dataclass(frozen=True)
class _Line:
    """A stretch of hours in one state and with one reason, or many short stretches together."""

    hours: int
    first: pd.Timestamp
    last: pd.Timestamp
    why: str


def plan_table(plan: Plan) -> str:
    """A plan as a Markdown table: a line for each stretch of hours in one state and with one reason.

    If a state has more than LISTED_STRETCHES of them, the shorter ones are one line.
    """
    lines = ["| | hours | first | last | why |", "|---|---|---|---|---|"]
    for state, hours in _states(plan):
        lines += [f"| {state} | {line.hours} | {line.first} | {line.last} | {line.why} |" for line in _lines(hours)]
    return "\n".join(lines)


def _states(plan: Plan) -> Iterator[tuple[str, pd.Series]]:
    """Each state of hours, and the details of the reason by hour; empty details for hours without a reason."""
    for state, hours in ((COMPUTABLE, plan.compute), (STORED, plan.kept)):
        yield state, pd.Series("", hours, dtype=object)
    for kind, reasons in by_kind(plan.impossible):
        yield str(kind), reasons.map(lambda reason: reason.details)
    yield OPEN, pd.Series("", plan.open, dtype=object)


def _lines(details: pd.Series) -> list[_Line]:
    """The stretches of successive hours with one reason, oldest first; many short ones are one line, the last."""
    hours = details.index.to_series()
    stretches = [
        _Line(len(alike), alike.index[0], alike.index[-1], str(alike.iloc[0]))
        for _, alike in details.groupby(((hours.diff() != HOUR) | (details != details.shift())).cumsum())
    ]
    if len(stretches) <= LISTED_STRETCHES:
        return stretches
    short = sorted(line.hours for line in stretches)[-LISTED_STRETCHES]
    folded = [line for line in stretches if line.hours <= short]
    lengths = [line.hours for line in folded]
    why = f"{len(folded)} stretches, the longest {max(lengths)} hours"
    together = _Line(sum(lengths), folded[0].first, folded[-1].last, why)
    return [*(line for line in stretches if line.hours > short), together]


def dry_run_lines(feature_set: FeatureSet, asked: str, plan: Plan, verbose: bool = False) -> list[str]:
    """A plan as lines of text: what would be done, the hours to compute, and the hours that cannot be computed.

    verbose: list every hour to compute. Otherwise only the first LISTED_HOURS and the last are listed.
    """
    compute = hours_of_features(len(plan.compute), feature_set)
    head = f"plan for {feature_set.key}, {asked}: compute {compute}, keep {len(plan.kept)}, skip {len(plan.impossible)}"
    listed = plan.compute if verbose else plan.compute[:LISTED_HOURS]
    rest = [f"  ... to {plan.compute[-1]}"] if len(listed) < len(plan.compute) else []
    return [head, *(f"  {hour}" for hour in listed), *rest, *skip_lines(plan.impossible)]


def hours_of_features(hours: int, feature_set: FeatureSet) -> str:
    """A number of hours together with the number of features that each row of them has."""
    return f"{hours} hours of {len(feature_set.names)} features"


def skip_lines(skipped: pd.Series) -> list[str]:
    """One line a stretch of hours that cannot be computed for one reason; many short stretches of a kind are one."""
    return [
        f"skipped {line.hours} hour{'s'[: line.hours - 1]}, {kind}: {line.first} .. {line.last} ({line.why})"
        for kind, reasons in by_kind(skipped)
        for line in _lines(reasons.map(lambda reason: reason.details))
    ]


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
    parts = [
        f"{len(reasons)} cannot be computed, {kind} (newest {reasons.index[-1]}: {reasons.iloc[-1].details})"
        for kind, reasons in by_kind(plan.impossible)
    ]
    return "".join(f"; {part}" for part in parts)


def watched_hours(first: pd.Timestamp, begins: pd.Timestamp, stored: pd.DatetimeIndex) -> str:
    """Which hours a sensor does not see to, as the end of a message.

    first: the first hour that it watches. begins: the first hour of OHLCV whose lookback does not begin before OHLCV.
    stored: hours with a row, ascending.
    """
    if first <= begins:
        return ""
    earlier = hour_range(begins, first - HOUR).difference(stored)
    if earlier.empty:
        return ""
    return (
        f"; lookbacks are complete from {begins:%Y-%m-%d %H:%M} on, {len(earlier):,} hours since then are not stored: "
        "backfill them if you want them"
    )
