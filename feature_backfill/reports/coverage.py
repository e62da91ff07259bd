"""What became of every closed hour of a feature set, and why: the calendar and the shaded hours of a report."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from feature_backfill.hours import HOUR, stretch
from feature_backfill.planning.counting import COMPUTABLE, STORED
from feature_backfill.planning.plan import Plan

STALE, SKIPPED, ABSENT = "stale", "skipped", "absent"
STATES = (STORED, STALE, COMPUTABLE, SKIPPED, ABSENT)
"""From good to bad: several hours together are shown in the state that comes last."""
COLOURS = {STORED: "#3aa17e", STALE: "#8d6cd1", COMPUTABLE: "#4a8fd0", SKIPPED: "#e3a83c", ABSENT: "#d2525f"}

_WHY_STALE = "OHLCV of its lookback was corrected after the row was computed"
_WHY_COMPUTABLE = "OHLCV has all that it needs, and no row is stored"


@dataclass(frozen=True)
class Coverage:
    """The state of each hour, as a position in STATES, and why it is not stored as it should be.

    states: by hour, ascending. reasons: text of every hour that is not in the state STORED. notes: why OHLCV lacks an
    hour, of those of which that is known, ascending.
    """

    states: "pd.Series[int]"
    reasons: "pd.Series[str]"
    notes: "pd.Series[str]"

    @property
    def calendar(self) -> pd.DataFrame:
        """24 x days: the state of each hour of each day, NaN where there is no such hour."""
        return _by_day(self.states)

    @property
    def texts(self) -> pd.DataFrame:
        """24 x days, as the calendar: the state of each hour in words, with the note that is known of it."""
        words = pd.Series(np.array(STATES, dtype=object)[self.states.to_numpy()], self.states.index)
        if len(self.notes):  # pandas on older pyarrow cannot join none
            words[self.notes.index] += "; " + self.notes
        return _by_day(words).fillna("")

    @property
    def noted(self) -> list[str]:
        """A line for each stretch of hours that OHLCV lacks for one known cause."""
        hours = self.notes.index.to_series()
        stretches = ((hours.diff() != HOUR) | (self.notes != self.notes.shift())).cumsum()
        return [
            f"{stretch(some.index[0], some.index[-1])}: {some.iloc[0]}" for _, some in self.notes.groupby(stretches)
        ]

    def worst(self, bar_hours: int) -> pd.DataFrame:
        """Bars x (state, reason): of the hours of each bar, the worst state and the newest reason for it.

        Indexed by the bars' opening times; bars without an hour are left out.
        """
        opens = pd.DatetimeIndex(self.states.index).floor(f"{bar_hours}h")
        hours = pd.DataFrame({"opens": opens, "state": self.states, "reason": self.reasons.reindex(self.states.index)})
        worst = hours.sort_values("state", kind="stable").groupby("opens").tail(1)
        return worst.set_index("opens").fillna({"reason": ""}).sort_index()


def _by_day(values: pd.Series) -> pd.DataFrame:
    """24 x days, every day from the first hour's to the last's: the value of each hour, NaN where there is none."""
    hours = pd.DatetimeIndex(values.index)
    frame = pd.DataFrame({"day": hours.normalize(), "hour": hours.hour, "value": values.to_numpy()})
    days = pd.date_range(hours[0].normalize(), hours[-1].normalize(), freq="D", unit="us")
    return frame.pivot(index="hour", columns="day", values="value").reindex(range(24)).reindex(columns=days)


def coverage_of(plan: Plan, stored: pd.DatetimeIndex, notes: Mapping[Hashable, str]) -> Coverage:
    """What became of the hours of a plan that have closed. stored: the hours that have a row, ascending.

    An hour with a row is stored, or stale, also where OHLCV lacks its own row. notes: why OHLCV lacks an hour, where
    that is known.
    """
    hours = plan.present.union(plan.absent)
    skipped = pd.DatetimeIndex(plan.skipped.index)
    states = np.select(
        [hours.isin(some) for some in (plan.stale, stored, plan.compute, skipped, plan.absent)],
        [STATES.index(state) for state in (STALE, STORED, COMPUTABLE, SKIPPED, ABSENT)],
    )
    absent = set(plan.absent)
    texts = [
        f"{reason}; {notes[hour]}" if hour in absent and hour in notes else str(reason)
        for hour, reason in plan.impossible.items()
    ]
    reasons = pd.Series(texts, plan.impossible.index, dtype=object).reindex(hours)
    reasons[states == STATES.index(STALE)] = _WHY_STALE
    reasons[states == STATES.index(COMPUTABLE)] = _WHY_COMPUTABLE
    known = pd.Series({hour: notes[hour] for hour in plan.absent if hour in notes}, dtype=object)
    return Coverage(pd.Series(states, hours), reasons[states != STATES.index(STORED)], known)
