"""How a feature set stands: how current it is, and what became of every hour from the beginning of its OHLCV."""

from dataclasses import dataclass

import pandas as pd

from feature_backfill.hours import HOUR
from feature_backfill.planning.counting import HourCounts


@dataclass(frozen=True)
class Standing:
    """How a feature set stands.

    oldest, newest: stored hours. closed: the last closed hour by the clock. ohlcv_ends: the last closed hour of OHLCV.
    counts: of all hours of the feature set, see `whole_stretch`. computable: those that can be computed and are not
    stored, ascending. skipped: lines that say which of the others are not stored, and why, see `skip_lines`.
    """

    oldest: pd.Timestamp
    newest: pd.Timestamp
    closed: pd.Timestamp
    ohlcv_ends: pd.Timestamp
    counts: HourCounts
    computable: pd.DatetimeIndex
    skipped: tuple[str, ...] = ()

    @property
    def hours_behind(self) -> int:
        """Hours from the newest stored one to the last closed hour by the clock."""
        return hours_between(self.newest, self.closed)

    @property
    def ohlcv_hours_behind(self) -> int:
        """Hours from the end of OHLCV to the last closed hour by the clock."""
        return hours_between(self.ohlcv_ends, self.closed)

    @property
    def lost(self) -> pd.DatetimeIndex:
        """The computable hours between the oldest and the newest stored one."""
        return self.computable[(self.computable >= self.oldest) & (self.computable <= self.newest)]


def hours_between(hour: pd.Timestamp, end: pd.Timestamp) -> int:
    """By how many hours an hour is behind another one; 0 if it is not."""
    return max(0, int((end - hour) / HOUR))


def whole_stretch(
    first_hour: pd.Timestamp, extent: tuple[pd.Timestamp, pd.Timestamp], closed: pd.Timestamp
) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """All hours that a market can have: from its first hour with OHLCV to the last closed one; None if it has none.

    first_hour: of the market. extent: the first and the last hour of OHLCV.
    """
    first, last = max(first_hour, extent[0]), min(extent[1], closed)
    return (first, last) if first <= last else None
