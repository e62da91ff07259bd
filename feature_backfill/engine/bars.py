"""Hourly rows -> bars of a timeframe, and what makes an hourly row bad.

Inside the engine an hour is an integer, the number of hours since 1970-01-01 00:00 UTC, so that windows and bars are
index arithmetic.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feature_backfill.engine.columns import Column, over_last_hours
from feature_backfill.engine.timeframes import HOURS_PER_BAR
from feature_backfill.hours import to_utc

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

PRICES = ("open", "high", "low", "close")
COLUMNS = (*PRICES, "volume")
_MICROSECONDS = 3_600_000_000


def epoch_hours(stamps: pd.DatetimeIndex) -> Integers:
    """Hours since 1970-01-01, rounded down."""
    return np.asarray(stamps.as_unit("us").asi8 // _MICROSECONDS)


def timestamps(hours: Integers) -> pd.DatetimeIndex:
    """The UTC timestamps of hours since 1970-01-01."""
    return pd.DatetimeIndex((np.asarray(hours) * _MICROSECONDS).view("datetime64[us]"))


def timestamp(hour: int) -> pd.Timestamp:
    """The UTC timestamp of one hour since 1970-01-01."""
    return pd.Timestamp(int(hour), unit="h")


def row_faults(ohlcv: pd.DataFrame, columns: Sequence[Column] = ()) -> pd.Series:
    """What is wrong with each hourly row, in words; None where the row is sound.

    ohlcv: rows x (timestamp, open, high, low, close, volume and the columns), UTC-naive stamps, float columns.
    Rows of one timestamp that disagree are all bad; rows equal in every value are not. A further column makes a row bad
    only if its hours are to be skipped then.
    """
    stamps = pd.DatetimeIndex(ohlcv["timestamp"])
    values = {column: ohlcv[column].to_numpy(np.float64) for column in COLUMNS}
    low, high = values["low"], values["high"]
    faults: list[tuple[Booleans, str]] = [(np.asarray(stamps != stamps.floor("h")), "off the hour")]
    faults += [(np.isnan(values[column]), f"{column} is not a number") for column in COLUMNS]
    faults += [(np.isinf(values[column]), f"{column} is infinite") for column in COLUMNS]
    faults += [(values[column] <= 0, f"{column} is not positive") for column in PRICES]
    faults += [(high < low, "high below low")]
    faults += [((values[end] < low) | (values[end] > high), f"{end} outside low..high") for end in ("open", "close")]
    faults += [(values["volume"] < 0, "volume is negative")]
    for name in (column.name for column in columns if column.if_bad == "skip"):
        value = ohlcv[name].to_numpy(np.float64)
        faults += [(np.isnan(value), f"{name} is not a number"), (np.isinf(value), f"{name} is infinite")]
    faults += [(_disagreeing(ohlcv, columns), "rows of this hour disagree")]
    words = np.full(len(ohlcv), None, dtype=object)
    for bad, reason in reversed(faults):
        words[bad] = reason
    return pd.Series(words, index=ohlcv.index, dtype=object)


def _disagreeing(ohlcv: pd.DataFrame, columns: Sequence[Column]) -> Booleans:
    """Which rows share their timestamp with a row of other values."""
    if ohlcv["timestamp"].is_unique:
        return np.zeros(len(ohlcv), dtype=bool)
    distinct = ohlcv.drop_duplicates(["timestamp", *COLUMNS, *names_of(columns)])
    disputed = distinct.loc[distinct["timestamp"].duplicated(), "timestamp"]
    return ohlcv["timestamp"].isin(disputed).to_numpy()


def names_of(columns: Iterable[Column]) -> list[str]:
    """The names of further columns."""
    return [column.name for column in columns]


def normalized_ohlcv(ohlcv: pd.DataFrame, columns: Sequence[Column] = ()) -> pd.DataFrame:
    """Rows in time order with UTC-naive stamps and float64 columns; text that is no number becomes NaN.

    columns: further ones to keep. Raises ValueError if a column lacks or a row has no timestamp.
    """
    names = [*COLUMNS, *names_of(columns)]
    lacking = [column for column in ("timestamp", *names) if column not in ohlcv.columns]
    if lacking:
        raise ValueError(f"OHLCV lacks the column {', '.join(lacking)}; it has {', '.join(map(str, ohlcv.columns))}")
    stamps = to_utc(ohlcv["timestamp"])
    if stamps.hasnans:
        raise ValueError(f"OHLCV holds {int(np.isnat(stamps.to_numpy()).sum())} rows without a timestamp")
    values = {name: pd.to_numeric(ohlcv[name], errors="coerce").to_numpy(np.float64) for name in names}
    rows = pd.DataFrame({"timestamp": stamps, **values})
    return rows if stamps.is_monotonic_increasing else rows.sort_values("timestamp", ignore_index=True, kind="stable")


@dataclass(frozen=True)
class HourlyRows:
    """Hourly rows, checked once: the sound ones as arrays, the bad ones with their reasons.

    hours: stamps on the hour, of sound and bad rows, ascending and distinct, in hours since 1970-01-01.
    values: (5 + columns) x hours (open, high, low, close, volume and the columns), NaN in bad rows.
    bad_hours, bad_reasons, bad_off_hour: the bad rows in time order; a row off the hour has the hour it falls in, and
    True in bad_off_hour.
    columns: the further columns; of those whose bad values are null, a sound row may hold NaN.
    """

    hours: Integers
    values: Floats
    bad_hours: Integers
    bad_reasons: list[str]
    bad_off_hour: Booleans
    columns: tuple[Column, ...] = ()

    @classmethod
    def of(cls, ohlcv: pd.DataFrame, columns: Sequence[Column] = ()) -> "HourlyRows":
        """Check a frame of columns timestamp, open, high, low, close, volume and further ones; rows in any order.

        Raises ValueError as normalized_ohlcv does.
        """
        ohlcv = normalized_ohlcv(ohlcv, columns)
        faults = row_faults(ohlcv, columns)
        stamps = pd.DatetimeIndex(ohlcv["timestamp"])
        bad = faults.notna().to_numpy()
        off_hour = np.asarray(stamps != stamps.floor("h"))
        values = ohlcv[[*COLUMNS, *names_of(columns)]].to_numpy(np.float64).T
        values = np.where(bad | ~np.isfinite(values), np.nan, values)
        distinct = ~off_hour
        distinct[~off_hour] = ~stamps[~off_hour].duplicated()
        return cls(
            hours=epoch_hours(stamps[distinct]),
            values=values[:, distinct],
            bad_hours=epoch_hours(stamps[bad]),
            bad_reasons=[
                f"{stamp:%Y-%m-%d %H:%M} {fault}" for stamp, fault in zip(stamps[bad], faults[bad], strict=True)
            ],
            bad_off_hour=off_hour[bad],
            columns=tuple(columns),
        )

    @classmethod
    def sound_at(cls, stamps: pd.DatetimeIndex) -> "HourlyRows":
        """Sound rows at ascending, distinct hours (UTC-naive), for questions that no value answers: each is NaN."""
        nowhere = np.array([], dtype=np.int64)
        values = np.broadcast_to(np.nan, (len(COLUMNS), len(stamps)))
        return cls(epoch_hours(stamps), values, nowhere, [], nowhere.astype(bool))

    @property
    def stamps(self) -> pd.DatetimeIndex:
        """The hours as UTC-naive timestamps."""
        return timestamps(self.hours)

    def between(self, first: pd.Timestamp, last: pd.Timestamp) -> "HourlyRows":
        """The rows from first to last, both included; of a row off the hour, the hour it falls in decides."""
        start, stop = epoch_hours(pd.DatetimeIndex([first, last]))
        ends = [start, stop + 1]
        kept = slice(*np.searchsorted(self.hours, ends))
        bad = slice(*np.searchsorted(self.bad_hours, ends))
        return HourlyRows(
            self.hours[kept],
            self.values[:, kept],
            self.bad_hours[bad],
            self.bad_reasons[bad],
            self.bad_off_hour[bad],
            self.columns,
        )

    def on_grid(self, first: int, count: int) -> Floats:
        """(5 + columns) x count values of consecutive hours.

        A missing or bad hour repeats the close before it, without volume, and is NaN in further columns. The stand-ins
        keep every bar finite. No target whose window holds one is computed, so none reaches a result.
        """
        grid = np.full((len(self.values), count), np.nan)
        inside = slice(*np.searchsorted(self.hours, [first, first + count]))
        grid[:, self.hours[inside] - first] = self.values[:, inside]
        lacking = np.isnan(grid[3])
        if lacking.any():
            close = pd.Series(grid[3]).ffill().bfill().fillna(1.0).to_numpy()
            grid[:4, lacking] = close[lacking]
            grid[4, lacking] = 0.0
        return grid

    def sound(self, first: int, count: int) -> Booleans:
        """Which of count consecutive hours hold a sound row."""
        present = np.zeros(count, dtype=bool)
        inside = slice(*np.searchsorted(self.hours, [first, first + count]))
        present[self.hours[inside] - first] = ~np.isnan(self.values[3, inside])
        return present


@dataclass(frozen=True)
class BarValues:
    """The values of bars: 1-D arrays, one item a bar. columns: those of further columns, by name."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    columns: Mapping[str, Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, arrays: Iterable[Floats], columns: Iterable[str]) -> "BarValues":
        """The values from arrays in the order of the class, followed by one for each column."""
        opens, high, low, close, volume, *further = arrays
        return cls(opens, high, low, close, volume, dict(zip(columns, further, strict=True)))

    @property
    def arrays(self) -> tuple[Floats, ...]:
        """All arrays: open, high, low, close, volume, then the columns'."""
        return self.open, self.high, self.low, self.close, self.volume, *self.columns.values()

    def each(self, change: Callable[[Floats], Floats]) -> "BarValues":
        """The values with the same change made to every array."""
        return BarValues.of(map(change, self.arrays), self.columns)


@dataclass(frozen=True)
class Bars:
    """Consecutive bars of one length, oldest first, and the label (hours since 1970) of the oldest.

    A bar is labelled with its last hour: the bar labelled L of h hours holds the hourly rows L-h+1 .. L.
    """

    length: int
    first_label: int
    values: BarValues

    def __len__(self) -> int:
        """How many bars there are."""
        return len(self.values.close)

    @property
    def labels(self) -> Integers:
        """The label of every bar."""
        return self.first_label + self.length * np.arange(len(self))

    def position(self, labels: Integers) -> Integers:
        """Index of the bar with each label."""
        return (labels - self.first_label) // self.length


def bars_of_grid(grid: Floats, first_hour: int, length: int, columns: Sequence[Column] = ()) -> Bars:
    """Bars of `length` hours from (5 + columns) x hours values, the first of which is the first hour of a bar."""
    opens, highs, lows, closes, volumes, *further = (row.reshape(-1, length) for row in grid)
    arrays = [opens[:, 0], highs.max(axis=1), lows.min(axis=1), closes[:, -1], volumes.sum(axis=1)]
    arrays += [over_last_hours(hourly, column.bar)[:, -1] for hourly, column in zip(further, columns, strict=True)]
    return Bars(length, first_hour + length - 1, BarValues.of(arrays, names_of(columns)))


def bars_since(
    grid: Floats, first_hour: int, length: int, labels: Integers, hours: Integers, columns: Sequence[Column] = ()
) -> BarValues:
    """The values of the bars with `labels`, each of its last `hours` rows only (1 .. length)."""
    bar = (labels - first_hour) // length
    opens, highs, lows, closes, volumes, *further = (row.reshape(-1, length) for row in grid)
    arrays = [
        opens[bar, length - hours],
        over_last_hours(highs, "max")[bar, hours - 1],
        over_last_hours(lows, "min")[bar, hours - 1],
        closes[bar, -1],
        over_last_hours(volumes, "sum")[bar, hours - 1],
    ]
    arrays += [
        over_last_hours(hourly, column.bar)[bar, hours - 1] for hourly, column in zip(further, columns, strict=True)
    ]
    return BarValues.of(arrays, names_of(columns))


def grid_bounds(first: int, last: int) -> tuple[int, int]:
    """First hour and number of hours of the whole days (01:00 .. 00:00) around an interval: every bar is whole."""
    start = first - (first - 1) % 24
    return start, -(-(last - start + 1) // 24) * 24


def complete_bars(rows: HourlyRows, timeframe: str) -> pd.DataFrame:
    """The bars of a timeframe whose every hour is present and sound.

    timeframe: canonical. Returns bars x (timestamp, open, high, low, close, volume), ascending; the timestamp of a bar
    is its label, its last hour.
    """
    length = HOURS_PER_BAR[timeframe]
    if not len(rows.hours):
        return pd.DataFrame({"timestamp": timestamps(rows.hours), **dict.fromkeys(COLUMNS, np.empty(0))})
    start, count = grid_bounds(int(rows.hours[0]), int(rows.hours[-1]))
    bars = bars_of_grid(rows.on_grid(start, count), start, length, rows.columns)
    whole: Booleans = np.all(rows.sound(start, count).reshape(-1, length), axis=1)
    astray = rows.bad_hours[rows.bad_off_hour] - start
    within_bar = astray // length == (astray + 1) // length
    whole[astray[within_bar] // length] = False
    frame = pd.DataFrame(
        {"timestamp": timestamps(bars.labels), **{column: getattr(bars.values, column) for column in COLUMNS}}
    )
    return frame.loc[whole].reset_index(drop=True)
