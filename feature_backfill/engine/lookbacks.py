"""The lookbacks of target hours over the bars of a timeframe.

Several target hours share their newest bar, so they share all bars but the oldest, which is partial where a lookback
starts inside it: its close is right, but its open, high, low and volume are those of the hours within the lookback.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from feature_backfill.engine.bars import Bars, BarValues, Booleans, Floats, Integers, bars_since
from feature_backfill.engine.columns import Column
from feature_backfill.engine.lookback import Lookback
from feature_backfill.engine.windows import OhlcvWindows, locked


@dataclass(frozen=True)
class Lookbacks:
    """The lookbacks of target hours.

    windows: over the whole bars that the lookbacks share; window: which of them each target hour's is; oldest: the
    oldest bar of each target hour, partial where the lookback starts inside it; has_partial_bars: whether the settings
    make that bar partial for some hours.
    """

    windows: OhlcvWindows
    window: Integers
    oldest: BarValues
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
        oldest = self.oldest.each(lambda values: values[hours])
        arrays = []
        for values, own in zip(self.windows.series.values.arrays, oldest.arrays, strict=True):
            laid = values[places]
            laid[:, 0] = own
            arrays.append(laid.ravel())
        series = Bars(self.windows.series.length, 0, BarValues.of(map(locked, arrays), oldest.columns))
        windows = OhlcvWindows(series, self.windows.labels[window], bars, step=bars)
        return Lookbacks(windows, np.arange(len(window)), oldest)

    def lacks(self, column: str, bars: int) -> Booleans:
        """Whether a further column is NaN in one of the newest bars of each target hour."""
        absent = np.isnan(self.windows.series.values.columns[column])
        newer = min(bars, self.windows.bars - 1)
        found = np.zeros(len(self), dtype=bool)
        if newer and absent.any():
            found |= self.at_hours(self.windows.max(absent.astype(np.float64), newer)) > 0
        return found | np.isnan(self.oldest.columns[column]) if bars > newer else found

    @cached_property
    def _consecutive(self) -> slice | None:
        """The windows as a slice, if the target hours' are neighbours."""
        return slice(self.window[0], self.window[-1] + 1) if (np.diff(self.window) == 1).all() else None


def lookbacks_of(
    targets: Integers, lookback: Lookback, bars: Bars, grid: Floats, first_hour: int, columns: Sequence[Column] = ()
) -> Lookbacks:
    """The lookbacks of target hours over bars, which grid, the hourly rows from first_hour on, makes up.

    columns: the further ones of grid and bars.
    """
    kept = lookback.bars(bars.length)
    newest = bars.position(targets - targets % bars.length)
    oldest = newest - kept + 1
    missing = lookback.missing_from_oldest_bar(targets, bars.length)
    partial = bars_since(grid, first_hour, bars.length, bars.labels[oldest], bars.length - missing, columns)
    oldest_bars = (
        locked(np.where(missing > 0, piece, whole[oldest]))
        for piece, whole in zip(partial.arrays, bars.values.arrays, strict=True)
    )
    span = slice(int(oldest[0]), int(newest[-1]) + 1)
    series = Bars(bars.length, int(bars.labels[span.start]), bars.values.each(lambda values: locked(values[span])))
    windows = OhlcvWindows(series, bars.labels[newest[0] : newest[-1] + 1], kept)
    return Lookbacks(
        windows,
        oldest - oldest[0],
        BarValues.of(oldest_bars, partial.columns),
        lookback.has_partial_bars(bars.length),
    )
