"""How a feature set stands: how current it is, how many of its hours are missing, and why."""

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from feature_backfill.hours import HOUR, hour_range
from feature_backfill.planning.plan import Plan

COMPUTABLE = "can be computed"


@dataclass(frozen=True)
class Standing:
    """How a feature set stands.

    oldest, newest: stored hours. ohlcv_ends: the last closed hour of OHLCV. missing: how many hours from the oldest
    stored one on have no row, by kind of reason.
    """

    oldest: pd.Timestamp
    newest: pd.Timestamp
    ohlcv_ends: pd.Timestamp
    missing: dict[str, int]

    @property
    def hours_behind(self) -> int:
        """Hours from the newest stored one to the end of OHLCV."""
        return max(0, int((self.ohlcv_ends - self.newest) / HOUR))


def missing_hours(stored: pd.DatetimeIndex, last: pd.Timestamp) -> pd.DatetimeIndex:
    """The hours without a row, from the oldest stored one (there is at least one) to the last."""
    return hour_range(stored[0], last).difference(stored)


def missing_by_kind(plan: Plan) -> dict[str, int]:
    """How many of a plan's hours lack their row, by kind of reason; those that can be computed are one kind."""
    computable = {COMPUTABLE: len(plan.compute)} if len(plan.compute) else {}
    return {**computable, **impossible_by_kind(plan)}


def impossible_by_kind(plan: Plan) -> dict[str, int]:
    """How many of a plan's closed hours cannot be computed, by kind of reason."""
    return dict(Counter(str(reason.kind) for reason in plan.impossible))
