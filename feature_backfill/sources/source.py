"""What every source of OHLCV does: it brings rows into the market's table, and says what it brought."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd

from feature_backfill.config import Market

NO_HOURS = pd.DatetimeIndex([], dtype="datetime64[us]")

Progress = Callable[[str, int, int], None]
"""Called with what goes on, how many steps of it are done, and how many there are."""


def no_progress(what: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass
class Brought:
    """What a source brought into the table; it grows while the source works.

    new: the number of new rows by where they came from ("archive", "API", "files"). changed, same: numbers of rows that
    replaced other values, or were there already.
    hours: new or changed, UTC-naive, ascending; by_origin: the same by where they came from.
    restated: those whose values an exchange has changed. seen: the exchange's time of the last rows, UTC-naive.
    absent: hours that were asked for in vain. for_good: those that are not asked for again.
    warnings: what went wrong on the way and was made good, a line each.
    """

    new: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    same: int = 0
    hours: pd.DatetimeIndex = field(default_factory=lambda: NO_HOURS)
    by_origin: dict[str, pd.DatetimeIndex] = field(default_factory=dict)
    restated: pd.DatetimeIndex = field(default_factory=lambda: NO_HOURS)
    seen: pd.Timestamp | None = None
    absent: pd.DatetimeIndex = field(default_factory=lambda: NO_HOURS)
    for_good: pd.DatetimeIndex = field(default_factory=lambda: NO_HOURS)
    warnings: list[str] = field(default_factory=list)

    def add(self, origin: str, new: int, changed: int, same: int, hours: pd.DatetimeIndex) -> None:
        """Count rows that were stored. hours: of the new and the changed ones."""
        self.new[origin] = self.new.get(origin, 0) + new
        self.changed += changed
        self.same += same
        self.hours = self.hours.union(hours)
        self.by_origin[origin] = self.by_origin.get(origin, NO_HOURS).union(hours)


class Source(Protocol):
    """Brings hours that have closed into a market's table."""

    def bring(
        self,
        market: Market,
        since: pd.Timestamp | None,
        awaited: pd.Timestamp | None,
        brought: Brought,
        progress: Progress,
    ) -> None:
        """Bring what the table lacks, and what has changed.

        since: the first hour, UTC-naive; by default the market's first. Somebody who names it wants every hour from
            there on, also those that were asked for in vain for long.
        awaited: an hour that is about to close or has just closed, UTC-naive. A source that can ask for it asks every
            few seconds until it is there, for a limited time; the others take no notice.
        brought: is added to as rows are stored, so that it tells what is there even if the source fails on the way.

        Raises UserError if the operator must mend something, and RunError if it may work later.
        """
        ...
