"""The lookbacks of target hours over the bars of a timeframe.

Several target hours share their newest bar, so they share all bars but the oldest, which is partial where a lookback
starts inside it: its close is right, but its open, high, low and volume are those of the hours within the lookback.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from feature_backfill.engine.bars import COLUMNS, Bars, Floats, Integers, bars_since
from feature_backfill.engine.lookback import Lookback
from feature_backfill.engine.windows import OhlcvWindows


@dataclass(frozen=True)
class OldestBars:
    """The oldest bar of every target hour's lookback, partial where the lookback starts inside it: 1-D arrays."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


@dataclass(frozen=True)
class Lookbacks:
    """The lookbacks of target hours.

    windows: over the whole bars that the lookbacks share; window: which of them each target hour's is; oldest: the
    oldest bar of each target hour; has_partial_bars: whether the settings make that bar partial for some hours.
    """

    windows: OhlcvWindows
    window: Integers
    oldest: OldestBars
    has_partial_bars: bool = False

    def __len__(self) -> int:
        """How many target hours there are."""
        return len(self.window)

    def at_hours(self, values: Floats) -> Floats:
        """One value a window (the last axis) -> one value a target hour."""
        return values[..., self._consecutive] if self._consecutive else values.take(self.window, axis=-1)

    def sum_newer(self, values: Floats) -> Floats:
        """Sum over each lookback without its oldest bar."""
        newer = self.windows.bars - 1
        if newer == 0:
            return np.zeros(len(self))
        return self.at_hours(self.windows.weighted_sum(values, np.ones(newer)))

    def bar(self, values: Floats, index: int) -> Floats:
        """The item of every lookback's bar `index`, 0 being the oldest."""
        return self.at_hours(values[..., index :: self.windows.step])

    def laid_apart(self, hours: slice) -> "Lookbacks":
        """The lookbacks of some target hours laid end to end, so that windows see each one's own oldest bar."""
        window, bars = self.window[hours], self.windows.bars
        places = window[:, None] + np.arange(bars)
        oldest = OldestBars(*(getattr(self.oldest, column)[hours] for column in COLUMNS))
        columns = []
        for column in COLUMNS:
            values = getattr(self.windows, column)[places]
            values[:, 0] = getattr(oldest, column)
            columns.append(values.ravel())
        series = Bars(self.windows.series.length, 0, *columns)
        windows = OhlcvWindows(series, self.windows.labels[window], bars, step=bars)
        return Lookbacks(windows, np.arange(len(window)), oldest)

    @cached_property
    def _consecutive(self) -> slice | None:
        """The windows as a slice, if the target hours' are neighbours."""
        return slice(self.window[0], self.window[-1] + 1) if (np.diff(self.window) == 1).all() else None


def lookbacks_of(targets: Integers, lookback: Lookback, bars: Bars, grid: Floats, first_hour: int) -> Lookbacks:
    """The lookbacks of target hours over bars, which grid, the hourly rows from first_hour on, makes up."""
    kept = lookback.bars(bars.length)
    newest = bars.position(targets - targets % bars.length)
    oldest = newest - kept + 1
    missing = lookback.missing_from_oldest_bar(targets, bars.length)
    partial = bars_since(grid, first_hour, bars.length, bars.labels[oldest], bars.length - missing)
    oldest_bars = OldestBars(
        *(
            np.where(missing > 0, piece, getattr(bars, column)[oldest])
            for piece, column in zip(partial, COLUMNS, strict=True)
        )
    )
    span = slice(int(oldest[0]), int(newest[-1]) + 1)
    series = Bars(bars.length, int(bars.labels[span.start]), *(getattr(bars, column)[span] for column in COLUMNS))
    windows = OhlcvWindows(series, bars.labels[newest[0] : newest[-1] + 1], kept)
    return Lookbacks(windows, oldest - oldest[0], oldest_bars, lookback.has_partial_bars(bars.length))
