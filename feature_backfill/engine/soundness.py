"""Which target hours can be computed, and why the others cannot."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feature_backfill.engine.bars import HourlyRows, Integers, epoch_hours, timestamps
from feature_backfill.engine.lookback import Lookback
from feature_backfill.engine.timeframes import HOURS_PER_BAR

EXAMPLES = 3

Reasons = NDArray[np.object_]


class SkipKind(StrEnum):
    """Why an hour cannot be computed: the kinds that skipped hours are counted by."""

    ABSENT = "no row in OHLCV"
    SHORT_LOOKBACK = "lookback too short"
    BAD_ROW = "bad row"
    MISSING_HOURS = "missing hours"
    MISSING_BARS = "missing bars"
    OFF_THE_HOUR = "off the hour"


@dataclass(frozen=True)
class SkipReason:
    """Why one hour cannot be computed; as text, `kind: details`."""

    kind: SkipKind
    details: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.details}"


ABSENT = SkipReason(SkipKind.ABSENT, "the hour can be computed once its row is there")


def by_kind(skipped: pd.Series) -> Iterator[tuple[SkipKind, pd.Series]]:
    """The skip reasons of hours, kind by kind, in the order in which the kinds first appear."""
    for kind, of_kind in skipped.groupby(skipped.map(lambda reason: reason.kind), sort=False):
        yield SkipKind(str(kind)), of_kind


def skip_reasons(
    targets: pd.DatetimeIndex, rows: HourlyRows, lookback: Lookback, timeframes: tuple[str, ...]
) -> pd.Series:
    """The SkipReason of each target that cannot be computed, indexed by target ("ts"), ascending like the targets."""
    reasons: Reasons = np.full(len(targets), None, dtype=object)
    if lookback.hours < 1:
        reasons[:] = SkipReason(SkipKind.SHORT_LOOKBACK, f"{lookback.base_hours} hours")
    else:
        hours = epoch_hours(targets)
        _note_short_lookbacks(reasons, hours, lookback, timeframes)
        _note_bad_rows(reasons, hours, rows, lookback)
        _note_missing_hours(reasons, hours, rows, lookback)
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


def _note_bad_rows(reasons: Reasons, hours: Integers, rows: HourlyRows, lookback: Lookback) -> None:
    """A bad row on the hour counts from its hour on, one between two hours only where the lookback holds both."""
    seen_from = rows.bad_hours + rows.bad_off_hour
    first = np.searchsorted(rows.bad_hours, lookback.first_hours(hours))
    end = np.searchsorted(seen_from, hours, side="right")
    for start, stop in set(zip(first.tolist(), end.tolist(), strict=True)):
        if start < stop:
            more = f" and {stop - start - 1} more" if stop - start > 1 else ""
            affected = (first == start) & (end == stop)
            reasons[affected] = SkipReason(SkipKind.BAD_ROW, f"{rows.bad_reasons[start]}{more}")


def _note_missing_hours(reasons: Reasons, hours: Integers, rows: HourlyRows, lookback: Lookback) -> None:
    if not len(hours):
        return
    firsts = lookback.first_hours(hours)
    missing = np.setdiff1d(np.arange(firsts.min(), hours.max() + 1), rows.hours, assume_unique=True)
    first = np.searchsorted(missing, firsts)
    count = np.searchsorted(missing, hours, side="right") - first
    for at in np.flatnonzero(count):
        some = timestamps(missing[first[at] : first[at] + min(count[at], EXAMPLES)]).strftime("%Y-%m-%d %H:%M")
        more = ", ..." if count[at] > EXAMPLES else ""
        reasons[at] = SkipReason(SkipKind.MISSING_HOURS, f"{count[at]} of {lookback.hours}, {', '.join(some)}{more}")
