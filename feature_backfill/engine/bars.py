"""Hourly rows -> bars of a timeframe, and what makes an hourly row bad.

Inside the engine an hour is an integer, the number of hours since 1970-01-01 00:00 UTC, so that windows and bars are
index arithmetic.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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


def row_faults(ohlcv: pd.DataFrame) -> pd.Series:
    """What is wrong with each hourly row, in words; None where the row is sound.

    ohlcv: rows x (timestamp, open, high, low, close, volume), UTC-naive stamps, float columns.
    Rows of one timestamp that disagree are all bad; rows equal in every value are not.
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
    faults += [(values["volume"] < 0, "volume is negative"), (_disagreeing(ohlcv), "rows of this hour disagree")]
    words = np.full(len(ohlcv), None, dtype=object)
    for bad, reason in reversed(faults):
        words[bad] = reason
    return pd.Series(words, index=ohlcv.index, dtype=object)


def _disagreeing(ohlcv: pd.DataFrame) -> Booleans:
    """Which rows share their timestamp with a row of other values."""
    if ohlcv["timestamp"].is_unique:
        return np.zeros(len(ohlcv), dtype=bool)
    distinct = ohlcv.drop_duplicates(["timestamp", *COLUMNS])
    disputed = distinct.loc[distinct["timestamp"].duplicated(), "timestamp"]
    return ohlcv["timestamp"].isin(disputed).to_numpy()


def normalized_ohlcv(ohlcv: pd.DataFrame) -> pd.DataFrame:
    """Rows in time order with UTC-naive stamps and float64 columns; text that is no number becomes NaN.

    Raises ValueError if a column lacks or a row has no timestamp.
    """
    lacking = [column for column in ("timestamp", *COLUMNS) if column not in ohlcv.columns]
    if lacking:
        raise ValueError(f"OHLCV lacks the column {', '.join(lacking)}; it has {', '.join(map(str, ohlcv.columns))}")
    stamps = to_utc(ohlcv["timestamp"])
    if stamps.hasnans:
        raise ValueError(f"OHLCV holds {int(np.isnat(stamps.to_numpy()).sum())} rows without a timestamp")
    columns = {column: pd.to_numeric(ohlcv[column], errors="coerce").to_numpy(np.float64) for column in COLUMNS}
    rows = pd.DataFrame({"timestamp": stamps, **columns})
    return rows if stamps.is_monotonic_increasing else rows.sort_values("timestamp", ignore_index=True, kind="stable")


@dataclass(frozen=True)
class HourlyRows:
    """Hourly rows, checked once: the sound ones as arrays, the bad ones with their reasons.

    hours: stamps on the hour, of sound and bad rows, ascending and distinct, in hours since 1970-01-01.
    values: 5 x hours (open, high, low, close, volume), NaN in bad rows.
    bad_hours, bad_reasons, bad_off_hour: the bad rows in time order; a row off the hour has the hour it falls in, and
    True in bad_off_hour.
    """

    hours: Integers
    values: Floats
    bad_hours: Integers
    bad_reasons: list[str]
    bad_off_hour: Booleans

    @classmethod
    def of(cls, ohlcv: pd.DataFrame) -> "HourlyRows":
        """Check a frame of columns timestamp, open, high, low, close, volume; rows in any order.

        Raises ValueError as normalized_ohlcv does.
        """
        ohlcv = normalized_ohlcv(ohlcv)
        faults = row_faults(ohlcv)
        stamps = pd.DatetimeIndex(ohlcv["timestamp"])
        bad = faults.notna().to_numpy()
        off_hour = np.asarray(stamps != stamps.floor("h"))
        values = np.where(bad, np.nan, ohlcv[list(COLUMNS)].to_numpy(np.float64).T)
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
        )

    def on_grid(self, first: int, count: int) -> Floats:
        """5 x count values of consecutive hours; a missing or bad hour repeats the close before it, without volume.

        The stand-ins keep every value finite. No target whose window holds one is computed, so none reaches a result.
        """
        grid = np.full((5, count), np.nan)
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
class Bars:
    """Consecutive bars of one length: 1-D arrays, oldest first, and the label (hours since 1970) of the oldest.

    A bar is labelled with its last hour: the bar labelled L of h hours holds the hourly rows L-h+1 .. L.
    """

    length: int
    first_label: int
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    @property
    def labels(self) -> Integers:
        """The label of every bar."""
        return self.first_label + self.length * np.arange(len(self.close))

    def position(self, labels: Integers) -> Integers:
        """Index of the bar with each label."""
        return (labels - self.first_label) // self.length


def bars_of_grid(grid: Floats, first_hour: int, length: int) -> Bars:
    """Bars of `length` hours from 5 x hours values, the first of which is the first hour of a bar."""
    opens, highs, lows, closes, volumes = (row.reshape(-1, length) for row in grid)
    return Bars(
        length,
        first_hour + length - 1,
        opens[:, 0],
        highs.max(axis=1),
        lows.min(axis=1),
        closes[:, -1],
        volumes.sum(axis=1),
    )


def bars_since(grid: Floats, first_hour: int, length: int, labels: Integers, hours: Integers) -> tuple[Floats, ...]:
    """Open, high, low, close, volume of the bars with `labels`, each of its last `hours` rows only (1 .. length)."""
    bar = (labels - first_hour) // length
    opens, highs, lows, closes, volumes = (row.reshape(-1, length) for row in grid)
    return (
        opens[bar, length - hours],
        np.maximum.accumulate(highs[:, ::-1], axis=1)[bar, hours - 1],
        np.minimum.accumulate(lows[:, ::-1], axis=1)[bar, hours - 1],
        closes[bar, -1],
        np.cumsum(volumes[:, ::-1], axis=1)[bar, hours - 1],
    )


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
    bars = bars_of_grid(rows.on_grid(start, count), start, length)
    whole: Booleans = np.all(rows.sound(start, count).reshape(-1, length), axis=1)
    astray = rows.bad_hours[rows.bad_off_hour] - start
    within_bar = astray // length == (astray + 1) // length
    whole[astray[within_bar] // length] = False
    frame = pd.DataFrame(
        {"timestamp": timestamps(bars.labels), **{column: getattr(bars, column) for column in COLUMNS}}
    )
    return frame.loc[whole].reset_index(drop=True)
