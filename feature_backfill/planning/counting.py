"""How many hours are in which state: the one count behind every number of hours that the project shows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from feature_backfill.config import FeatureSet
from feature_backfill.engine.bars import HourlyRows
from feature_backfill.engine.soundness import SkipKind, skip_reasons
from feature_backfill.planning.plan import Plan

STORED = "stored"
COMPUTABLE = "can be computed"
NEVER = "can never be computed"
OPEN = "not closed yet"
WAITING = (SkipKind.WARM_UP, SkipKind.AFTER_GAP, SkipKind.BAD_ROW, SkipKind.ABSENT)
"""Kinds of hours that can be computed once OHLCV has more rows or better ones. The other kinds come from settings."""


@dataclass(frozen=True)
class HourCounts:
    """How many of the hours between first and last are in which state; each hour is in exactly one.

    states: by name, in the order of the names above; those without an hour are left out.
    """

    first: pd.Timestamp
    last: pd.Timestamp
    states: dict[str, int]

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in self.states.items())
        return f"{self.first:%Y-%m-%d %H:%M} .. {self.last:%Y-%m-%d %H:%M}, {sum(self.states.values())} hours: {states}"

    def as_dict(self) -> dict[str, str | int]:
        """The counts for a machine: first and last hour, the number of hours, and that of each state."""
        return {"first": str(self.first), "last": str(self.last), "hours": sum(self.states.values()), **self.states}

    @property
    def skipped(self) -> "HourCounts":
        """The counts of the hours that cannot be computed, now or ever."""
        done = (STORED, COMPUTABLE, OPEN)
        return HourCounts(self.first, self.last, {state: n for state, n in self.states.items() if state not in done})


def count_hours(plan: Plan | None, first: pd.Timestamp, last: pd.Timestamp, also_stored: int = 0) -> HourCounts:
    """Count hours between first and last: those of a plan, if there is one, and those that are stored besides."""
    if plan is None:
        return _counts(first, last, {STORED: also_stored})
    states = _states(len(plan.kept) + also_stored, len(plan.compute), plan.impossible)
    return _counts(first, last, {**states, OPEN: len(plan.open)})


def count_missing(missing: pd.DatetimeIndex, feature_set: FeatureSet, rows: HourlyRows) -> HourCounts | None:
    """Count closed hours that are not stored, by why they are not; None if there are none.

    missing: ascending. rows: all hourly rows that OHLCV has; no value of a sound one is looked at.
    """
    if missing.empty:
        return None
    impossible = skip_reasons(missing, rows, feature_set.lookback, feature_set.timeframes)
    return _counts(missing[0], missing[-1], _states(0, len(missing) - len(impossible), impossible))


def _counts(first: pd.Timestamp, last: pd.Timestamp, states: Mapping[str, int]) -> HourCounts:
    return HourCounts(first, last, {state: count for state, count in states.items() if count})


def _states(stored: int, computable: int, impossible: pd.Series) -> dict[str, int]:
    reasons = impossible.tolist()
    identities = list(map(id, reasons))  # many hours share one reason, and to hash it takes longer than all the rest
    distinct, kinds = dict(zip(identities, reasons, strict=True)), Counter[SkipKind]()
    for identity, hours in Counter(identities).items():
        kinds[distinct[identity].kind] += hours
    return {
        STORED: stored,
        COMPUTABLE: computable,
        **{str(kind): kinds.pop(kind, 0) for kind in WAITING},
        NEVER: kinds.total(),
    }
