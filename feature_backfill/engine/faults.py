"""Where OHLCV is not sound, and from when on the hours that look back on it can be computed again."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from feature_backfill.engine.bars import HourlyRows, Integers, timestamp
from feature_backfill.engine.lookback import Lookback
from feature_backfill.hours import stretch


@dataclass(frozen=True)
class Stretches:
    """Stretches of hours, ascending and apart: the first and the last hour of each, and how many items it counts."""

    firsts: Integers
    lasts: Integers
    counts: Integers

    def text(self, at: int) -> str:
        """The stretch at a place, as text."""
        return stretch(timestamp(self.firsts[at]), timestamp(self.lasts[at]))

    def before(self, hours: Integers) -> Integers:
        """For each hour the place of the newest stretch that begins up to it; -1 if none does."""
        return np.searchsorted(self.firsts, hours, side="right") - 1


def gaps_between(hours: Integers) -> Stretches:
    """The gaps between ascending hours; they count the hours that they lack."""
    at = np.flatnonzero(np.diff(hours) > 1)
    firsts, lasts = hours[at] + 1, hours[at + 1] - 1
    return Stretches(firsts, lasts, lasts - firsts + 1)


def bad_stretches(rows: HourlyRows) -> Stretches:
    """The unbroken stretches of hours with bad rows; they count the bad rows."""
    hours = rows.bad_hours
    starts = np.flatnonzero(np.diff(hours, prepend=-np.inf) > 1)
    counts = np.diff(starts, append=len(hours))
    return Stretches(hours[starts], hours[starts + counts - 1], counts)


def first_concerned(rows: HourlyRows) -> Integers:
    """The first target hour that each bad row concerns: its own, or the next one if the row lies between two hours."""
    return rows.bad_hours + rows.bad_off_hour


def without_unseen(rows: HourlyRows, lookback: Lookback) -> HourlyRows:
    """The rows without the bad ones that no lookback sees: between two hours, where a lookback holds but one."""
    if lookback.hours > 1 or not rows.bad_off_hour.any():
        return rows
    seen = ~rows.bad_off_hour
    reasons = [reason for reason, is_seen in zip(rows.bad_reasons, seen, strict=True) if is_seen]
    return replace(rows, bad_hours=rows.bad_hours[seen], bad_reasons=reasons, bad_off_hour=rows.bad_off_hour[seen])


@dataclass(frozen=True)
class Waits:
    """The stretches of target hours that wait for faults to leave their lookbacks.

    begins: the first target hour that each fault concerns, ascending. ends: the first hour after it that no fault
    concerns.
    """

    begins: Integers
    ends: Integers

    @classmethod
    def of(cls, rows: HourlyRows, gaps: Stretches, first_row: int | None, lookback: Lookback) -> "Waits":
        """The waits for the first row's lookback to fill (if there is a first row), for gaps and for bad rows."""
        start = np.array([] if first_row is None else [first_row], dtype=np.int64)
        faults = [
            (start, start + lookback.hours - 1),
            (gaps.firsts, gaps.lasts + lookback.hours),
            (first_concerned(rows), rows.bad_hours + lookback.hours),
        ]
        return cls(*_joined(faults))

    def end(self, hour: int) -> int:
        """From when on hours can be computed, given one that waits."""
        return int(self.ends[np.searchsorted(self.begins, hour, side="right") - 1])


def _joined(faults: Iterable[tuple[Integers, Integers]]) -> tuple[Integers, Integers]:
    """The begins of all faults, ascending, and for each the end of the unbroken wait that it belongs to."""
    begins, ends = (np.concatenate(side) for side in zip(*faults, strict=True))
    order = np.argsort(begins, kind="stable")
    begins, ends = begins[order], np.maximum.accumulate(ends[order])
    is_last = np.append(begins[1:] > ends[:-1], True)[: len(begins)]
    return begins, ends[is_last][np.cumsum(is_last) - is_last]
