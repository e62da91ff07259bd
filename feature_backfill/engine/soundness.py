"""Which target hours can be computed, and why the others cannot.

A reason reads `kind: details`; the kind is one of a few, so that skipped hours can be counted by it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from feature_backfill.engine.bars import HourlyRows, Integers, epoch_hours, timestamps
from feature_backfill.engine.timeframes import HOURS_PER_BAR

EXAMPLES = 3


@dataclass(frozen=True)
class Lookback:
    """How far a target hour looks back. base_hours, buffer_hours: hours; a negative buffer counts as none."""

    base_hours: int
    buffer_hours: int

    @property
    def buffer(self) -> int:
        """Hours before the base that complete the oldest bar."""
        return max(0, self.buffer_hours)

    @property
    def hours(self) -> int:
        """Hourly rows that a target hour needs, its own included."""
        return self.base_hours + self.buffer

    def bars(self, length: int) -> int:
        """Bars of `length` hours that are kept."""
        return max(1, self.base_hours // length)

    def missing_from_oldest_bar(self, targets: Integers, length: int) -> Integers:
        """Hours that the oldest kept bar lacks; `length` or more where there is no bar at all."""
        return np.maximum(0, targets % length - self.buffer - (self.base_hours - self.bars(length) * length))

    def has_partial_bars(self, length: int) -> bool:
        """Whether the oldest bar of some target hours is partial."""
        return bool(self.missing_from_oldest_bar(np.arange(length), length).any())


def kind_of(reason: str) -> str:
    """The kind of a reason: what stands before its colon."""
    return reason.partition(":")[0]


def details_of(reason: str) -> str:
    """The details of a reason: what stands after its colon."""
    return reason.partition(": ")[2]


def by_kind(skipped: pd.Series) -> Iterator[tuple[str, pd.Series]]:
    """Each kind among the reasons of skipped hours with the reasons of that kind, in the order in which they appear."""
    for kind, of_kind in skipped.groupby(skipped.map(kind_of), sort=False):
        yield str(kind), of_kind


def skip_reasons(
    targets: pd.DatetimeIndex, rows: HourlyRows, lookback: Lookback, timeframes: tuple[str, ...]
) -> pd.Series:
    """The reasons of the targets that cannot be computed, indexed by target ("ts"), ascending like the targets."""
    reasons = np.full(len(targets), None, dtype=object)
    if lookback.hours < 1:
        reasons[:] = f"lookback too short: {lookback.base_hours} hours"
    else:
        hours = epoch_hours(targets)
        _note_short_lookbacks(reasons, hours, lookback, timeframes)
        _note_bad_rows(reasons, hours, rows, lookback)
        _note_missing_hours(reasons, hours, rows, lookback)
        reasons[np.asarray(targets != targets.floor("h"))] = (
            "off the hour: the target is not the opening time of an hourly bar"
        )
    skipped = pd.Series(reasons, index=targets.rename("ts"), name="reason", dtype=object)
    return skipped[skipped.notna()]


def _note_short_lookbacks(
    reasons: np.ndarray, hours: Integers, lookback: Lookback, timeframes: tuple[str, ...]
) -> None:
    for timeframe in timeframes:
        length = HOURS_PER_BAR[timeframe]
        short = lookback.missing_from_oldest_bar(hours, length) >= length
        reasons[short] = f"lookback too short: no {timeframe} bar ends within {lookback.hours} hours"


def _note_bad_rows(reasons: np.ndarray, hours: Integers, rows: HourlyRows, lookback: Lookback) -> None:
    """A bad row on the hour counts from its hour on, one between two hours only where the lookback holds both."""
    seen_from = rows.bad_hours + rows.bad_off_hour
    first = np.searchsorted(rows.bad_hours, hours - lookback.hours + 1)
    end = np.searchsorted(seen_from, hours, side="right")
    for start, stop in set(zip(first.tolist(), end.tolist(), strict=True)):
        if start < stop:
            more = f" and {stop - start - 1} more" if stop - start > 1 else ""
            reasons[(first == start) & (end == stop)] = f"bad row: {rows.bad_reasons[start]}{more}"


def _note_missing_hours(reasons: np.ndarray, hours: Integers, rows: HourlyRows, lookback: Lookback) -> None:
    if not len(hours):
        return
    start = int(hours.min()) - lookback.hours + 1
    missing = np.setdiff1d(np.arange(start, int(hours.max()) + 1), rows.hours, assume_unique=True)
    first = np.searchsorted(missing, hours - lookback.hours + 1)
    count = np.searchsorted(missing, hours, side="right") - first
    for at in np.flatnonzero(count):
        some = timestamps(missing[first[at] : first[at] + min(count[at], EXAMPLES)]).strftime("%Y-%m-%d %H:%M")
        more = ", ..." if count[at] > EXAMPLES else ""
        reasons[at] = f"missing hours: {count[at]} of {lookback.hours}, {', '.join(some)}{more}"
