"""How a feature set stands: how current it is, and what became of every hour from the beginning of its OHLCV."""

from dataclasses import dataclass

import pandas as pd

from feature_backfill.hours import HOUR
from feature_backfill.planning.counting import HourCounts


@dataclass(frozen=True)
class Standing:
    """How a feature set stands.

    oldest, newest: stored hours that have closed; ahead: the other stored ones, ascending. closed: the last closed hour
    by the clock. ohlcv_ends: the last closed hour of OHLCV. counts: of all hours of the feature set, see
    `whole_stretch`. computable: those that can be computed and are not stored, ascending. skipped: lines that say which
    of the others are not stored, and why, see `skip_lines`.
    """

    oldest: pd.Timestamp
    newest: pd.Timestamp
    closed: pd.Timestamp
    ohlcv_ends: pd.Timestamp
    counts: HourCounts
    computable: pd.DatetimeIndex
    skipped: tuple[str, ...]
    ahead: pd.DatetimeIndex

    @property
    def hours_behind(self) -> int:
        """Hours from the newest stored one to the last closed hour by the clock."""
        return hours_between(self.newest, self.closed)

    @property
    def ohlcv_hours_behind(self) -> int:
        """Hours from the end of OHLCV to the last closed hour by the clock."""
        return hours_between(self.ohlcv_ends, self.closed)

    @property
    def remark(self) -> str:
        """What is to be said of the stored hours that have not closed; empty if there are none."""
        return rows_ahead(self.ahead)

    @property
    def lost(self) -> pd.DatetimeIndex:
        """The computable hours between the oldest and the newest stored one."""
        return self.computable[(self.computable >= self.oldest) & (self.computable <= self.newest)]


def hours_between(hour: pd.Timestamp, end: pd.Timestamp) -> int:
    """By how many hours an hour is behind another one; 0 if it is not."""
    return max(0, int((end - hour) / HOUR))


def split_at(hours: pd.DatetimeIndex, closed: pd.Timestamp) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """Ascending hours up to the last closed one, and those after it."""
    count = hours.searchsorted(closed, side="right")
    return hours[:count], hours[count:]


def rows_ahead(ahead: pd.DatetimeIndex) -> str:
    """What is to be said of stored hours (ascending) that have not closed; empty if there are none."""
    if ahead.empty:
        return ""
    rows = "1 row is of an hour" if len(ahead) == 1 else f"{len(ahead):,} rows are of hours"
    return (
        f"{rows} that {'has' if len(ahead) == 1 else 'have'} not closed, the newest {ahead[-1]:%Y-%m-%d %H:%M}: "
        "see whether the clock is right, and delete what does not belong there"
    )


def whole_stretch(
    first_hour: pd.Timestamp, extent: tuple[pd.Timestamp, pd.Timestamp], closed: pd.Timestamp
) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """All hours that a market can have: from its first hour with OHLCV to the last closed one; None if it has none.

    first_hour: of the market. extent: the first and the last hour of OHLCV.
    """
    first, last = max(first_hour, extent[0]), min(extent[1], closed)
    return (first, last) if first <= last else None
