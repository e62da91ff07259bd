"""Which target hours can be computed, and why the others cannot.

The reason is the same for all hours that wait for the same thing, so that a stretch of hours has one text.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feature_backfill.engine.bars import HourlyRows, Integers, epoch_hours, timestamp
from feature_backfill.engine.faults import (
    Stretches,
    Waits,
    bad_stretches,
    first_concerned,
    gaps_between,
    without_unseen,
)
from feature_backfill.engine.lookback import Lookback
from feature_backfill.engine.timeframes import HOURS_PER_BAR

Reasons = NDArray[np.object_]


class SkipKind(StrEnum):
    """Why an hour cannot be computed: the kinds that skipped hours are counted by.

    WARM_UP is no fault: the lookback begins before OHLCV does. AFTER_GAP passes by itself, and so does BAD_ROW. ABSENT
    needs the hour's own row. The others are settings: such an hour can never be computed.
    """

    ABSENT = "no row in OHLCV"
    WARM_UP = "warm-up"
    AFTER_GAP = "after a gap"
    BAD_ROW = "bad row"
    SHORT_LOOKBACK = "lookback too short"
    MISSING_BARS = "missing bars"
    OFF_THE_HOUR = "off the hour"


@dataclass(frozen=True)
class SkipReason:
    """Why one hour cannot be computed; as text, `kind: details`."""

    kind: SkipKind
    details: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.details}"


def by_kind(skipped: pd.Series) -> Iterator[tuple[SkipKind, pd.Series]]:
    """The skip reasons of hours, kind by kind, in the order in which the kinds first appear."""
    for kind, of_kind in skipped.groupby(skipped.map(lambda reason: reason.kind), sort=False):
        yield SkipKind(str(kind)), of_kind


def skip_reasons(
    targets: pd.DatetimeIndex,
    rows: HourlyRows,
    lookback: Lookback,
    timeframes: tuple[str, ...],
    row_before: pd.Timestamp | None = None,
) -> pd.Series:
    """The SkipReason of each target that cannot be computed, indexed by target ("ts"), ascending like the targets.

    rows: of the targets and of their lookbacks. From when on hours can be computed again is right only if the rows go
    on to the end of OHLCV.
    row_before: the newest hour before the rows that OHLCV has a row for. None: OHLCV begins with the rows.
    """
    reasons: Reasons = np.full(len(targets), None, dtype=object)
    if lookback.hours < 1:
        reasons[:] = SkipReason(SkipKind.SHORT_LOOKBACK, f"{lookback.base_hours} hours")
    else:
        hours = epoch_hours(targets)
        rows = without_unseen(rows, lookback)
        known = rows.hours
        if row_before is not None:
            known = np.append(epoch_hours(pd.DatetimeIndex([row_before])), known)
        first_row = int(known[0]) if row_before is None and len(known) else None
        gaps = gaps_between(known)
        words = _Words(Waits.of(rows, gaps, first_row, lookback), lookback, int(known[-1]) if len(known) else 0)
        _note_short_lookbacks(reasons, hours, lookback, timeframes)
        _note_bad_rows(reasons, hours, rows, words)
        _note_gaps(reasons, hours, gaps, words)
        if first_row is not None:
            warm_up = words.reason(SkipKind.WARM_UP, f"OHLCV begins at {_text(first_row)}", first_row - 1, "complete")
            reasons[lookback.first_hours(hours) < first_row] = warm_up
        _note_absent(reasons, hours, known, gaps)
        reasons[np.asarray(targets != targets.floor("h"))] = SkipReason(
            SkipKind.OFF_THE_HOUR, "the target is not the opening time of an hourly bar"
        )
    skipped = pd.Series(reasons, index=targets.rename("ts"), name="reason", dtype=object)
    return skipped[skipped.notna()]


def _note_short_lookbacks(reasons: Reasons, hours: Integers, lookback: Lookback, timeframes: tuple[str, ...]) -> None:
    for timeframe in timeframes:
        length = HOURS_PER_BAR[timeframe]
        short = lookback.missing_from_oldest_bar(hours, length) >= length
        reasons[short] = SkipReason(SkipKind.SHORT_LOOKBACK, f"no {timeframe} bar ends within {lookback.hours} hours")


@dataclass(frozen=True)
class _Words:
    """The reasons that pass by themselves. They end with the hour from which on the lookback is in order.

    newest: the newest hour of OHLCV.
    """

    waits: Waits
    lookback: Lookback
    newest: int

    def reason(self, kind: SkipKind, what: str, last: int, state: str) -> SkipReason:
        """The reason of the hours that wait until the last hour of a fault has left their lookback."""
        alone = last + self.lookback.hours
        end = self.waits.end(alone - 1)
        verb = "is" if end <= self.newest else "will be"
        others = ", as more gaps or bad rows follow" if end > alone else ""
        return SkipReason(kind, f"{what}; the lookback {verb} {state} from {_text(end)}{others}")


def _note_bad_rows(reasons: Reasons, hours: Integers, rows: HourlyRows, words: _Words) -> None:
    """The newest bad rows decide. A bad row between two hours counts only where the lookback holds both."""
    stretches = bad_stretches(rows)
    first = np.searchsorted(rows.bad_hours, words.lookback.first_hours(hours))
    last = np.searchsorted(first_concerned(rows), hours, side="right") - 1
    concerned = np.flatnonzero(first <= last)

    @cache
    def reason(oldest: int, newest: int) -> SkipReason:
        count = stretches.counts[newest]
        what = rows.bad_reasons[stretches.counts[: newest + 1].sum() - 1]
        if count > 1:
            what = f"{stretches.text(newest)}, {count} rows, the newest: {what}"
        if oldest < newest:
            what += f"; it is the newest of {stretches.counts[oldest : newest + 1].sum()} bad rows in the lookback"
        return words.reason(SkipKind.BAD_ROW, what, stretches.lasts[newest], "sound again")

    oldest, newest = (stretches.before(rows.bad_hours[ends[concerned]]) for ends in (first, last))
    _fill(reasons, concerned, reason, oldest, newest)


def _note_gaps(reasons: Reasons, hours: Integers, gaps: Stretches, words: _Words) -> None:
    """The newest gap in the lookback decides."""
    oldest = np.searchsorted(gaps.lasts, words.lookback.first_hours(hours))
    newest = gaps.before(hours)
    concerned = np.flatnonzero(oldest <= newest)

    @cache
    def reason(oldest: int, newest: int) -> SkipReason:
        what = f"OHLCV lacks {gaps.text(newest)}"
        if oldest < newest:
            count, missing = newest - oldest + 1, gaps.counts[oldest : newest + 1].sum()
            what += f", the newest of {count} gaps of {missing} hours in the lookback"
        return words.reason(SkipKind.AFTER_GAP, what, gaps.lasts[newest], "complete again")

    _fill(reasons, concerned, reason, oldest[concerned], newest[concerned])


def _note_absent(reasons: Reasons, hours: Integers, known: Integers, gaps: Stretches) -> None:
    """The hours without a row of their own: before the first row, after the last, or in a gap between."""
    absent = ~np.isin(hours, known)
    if not len(known):
        reasons[absent] = SkipReason(SkipKind.ABSENT, "OHLCV has no row")
        return

    @cache
    def reason(gap: int) -> SkipReason:
        return SkipReason(SkipKind.ABSENT, f"OHLCV lacks {gaps.text(gap)}")

    early, late = hours < known[0], hours > known[-1]
    inside = np.flatnonzero(absent & ~early & ~late)
    _fill(reasons, inside, reason, gaps.before(hours[inside]))
    reasons[early] = SkipReason(SkipKind.ABSENT, f"OHLCV begins at {_text(known[0])}")
    reasons[late] = SkipReason(SkipKind.ABSENT, f"OHLCV ends at {_text(known[-1])}")


def _fill(reasons: Reasons, places: Integers, reason: Callable[..., SkipReason], *arguments: Integers) -> None:
    """Put the reason of each tuple of arguments at the place of the tuple."""
    for place, each in zip(places.tolist(), zip(*(some.tolist() for some in arguments), strict=True), strict=True):
        reasons[place] = reason(*each)


def _text(hour: int) -> str:
    return f"{timestamp(hour):%Y-%m-%d %H:%M}"
