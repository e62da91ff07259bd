"""How far a target hour looks back, and which bars of each length that gives."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from feature_backfill.engine.bars import Integers
from feature_backfill.hours import HOUR


@dataclass(frozen=True)
class Lookback:
    """The hours that a target hour is computed from, its own included.

    base_hours: hours that the bars are built from. buffer_hours: hours before them that complete the oldest bar; a
    negative number counts as 0.
    """

    base_hours: int
    buffer_hours: int = 0

    @property
    def buffer(self) -> int:
        """Hours before the base that complete the oldest bar, 0 or more."""
        return max(0, self.buffer_hours)

    @property
    def hours(self) -> int:
        """Number of hourly rows that a target hour needs, its own included."""
        return self.base_hours + self.buffer

    def first_hour(self, target: pd.Timestamp) -> pd.Timestamp:
        """The oldest hour in the lookback of a target hour."""
        return target - (self.hours - 1) * HOUR

    def first_hours(self, targets: Integers) -> Integers:
        """The oldest hour in the lookback of each target; both in hours since 1970-01-01."""
        return targets - (self.hours - 1)

    def bars(self, length: int) -> int:
        """Number of bars of `length` hours in a lookback."""
        return max(1, self.base_hours // length)

    def missing_from_oldest_bar(self, targets: Integers, length: int) -> Integers:
        """Hours that the oldest bar of each lookback lacks; `length` or more where there is no bar at all."""
        return np.maximum(0, targets % length - self.buffer - (self.base_hours - self.bars(length) * length))

    def has_partial_bars(self, length: int) -> bool:
        """Whether the oldest bar of some target hours is partial."""
        return bool(self.missing_from_oldest_bar(np.arange(length), length).any())
