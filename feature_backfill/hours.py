"""Hours and partitions: partition key <-> UTC timestamp, ranges, contiguous runs, the closed-hour cutoff.

The timestamp of an hour is the opening time of its bar. Timestamps are UTC and naive (without a time zone). Partition
keys are the strings that Dagster's hourly partitions use.
"""

import re
from collections.abc import Iterable, Sequence
from numbers import Number

import pandas as pd

from feature_backfill.errors import shortened

HOUR = pd.Timedelta(hours=1)
EARLIEST = pd.Timestamp("1973-01-01")
"""No market has hourly bars older than this. An earlier timestamp was read in the wrong unit of time."""

SHOWN = 20
"""How many unparsable timestamps a message lists."""

PARTITION_KEY_FORMAT = "%Y-%m-%d-%H:%M"


def partition_key(hour: pd.Timestamp) -> str:
    """The partition key of an hour."""
    return hour.strftime(PARTITION_KEY_FORMAT)


def partition_keys(hours: pd.DatetimeIndex) -> list[str]:
    """The partition keys of hours, in the order of the hours."""
    return list(hours.strftime(PARTITION_KEY_FORMAT))


def hour_of(key: str) -> pd.Timestamp:
    """The hour that a partition key names."""
    return pd.to_datetime(key, format=PARTITION_KEY_FORMAT)


def hours_of(keys: Iterable[str]) -> pd.DatetimeIndex:
    """The hours that partition keys name, ascending. What is no such key is left out: the asset once had others."""
    hours = pd.to_datetime(list(keys), format=PARTITION_KEY_FORMAT, errors="coerce").as_unit("us")
    return hours.dropna().sort_values()


def to_utc(stamps: Iterable[object]) -> pd.DatetimeIndex:
    """Naive UTC timestamps. An offset is converted, a naive timestamp is taken as UTC, a date means its midnight.

    Raises ValueError that lists the items that do not parse. Numbers are refused because their unit is unknown. Text
    must begin with the year, because 05/01/2025 is a day in May to some readers and in January to others.
    """
    if isinstance(stamps, pd.Series) and stamps.dtype.kind == "M":
        stamps = pd.DatetimeIndex(stamps)
    if isinstance(stamps, pd.DatetimeIndex):
        return (stamps.tz_convert("UTC").tz_localize(None) if stamps.tz is not None else stamps).as_unit("us")
    parsed = [_parse(stamp) for stamp in stamps]
    unparsable = [str(stamp) for stamp, hour in parsed if hour is None]
    if unparsable:
        raise ValueError(
            f"not a timestamp: {shortened([*map(repr, unparsable)], SHOWN)}; write for example 2025-11-13T08:00Z"
        )
    return pd.DatetimeIndex([hour for _, hour in parsed], dtype="datetime64[us]")


def _parse(stamp: object) -> tuple[object, pd.Timestamp | None]:
    if isinstance(stamp, Number) or (isinstance(stamp, str) and not re.match(r"\s*\d{4}", stamp)):
        return stamp, None
    try:
        hour = pd.Timestamp(stamp)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        return stamp, None
    if pd.isna(hour):
        return stamp, None
    return stamp, hour.tz_convert("UTC").tz_localize(None) if hour.tzinfo else hour


def hour_range(first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    """Every hour from first to last, both ends included."""
    return pd.date_range(first, last, freq="h", unit="us")


def utc_now() -> pd.Timestamp:
    """The time by the clock, UTC-naive."""
    return pd.Timestamp.now(tz="UTC").tz_localize(None)


def last_closed_hour(now: pd.Timestamp | None = None) -> pd.Timestamp:
    """The newest hour whose bar has closed. At 13:12 it is 12:00. now: UTC-naive; the clock by default."""
    moment = utc_now() if now is None else now
    return moment.floor("h") - HOUR


def contiguous_runs(hours: pd.DatetimeIndex) -> Sequence[tuple[pd.Timestamp, pd.Timestamp]]:
    """The (first, last) hours of each unbroken run in ascending hours."""
    if hours.empty:
        return []
    breaks = (hours[1:] - hours[:-1]) != HOUR
    firsts = hours[[True, *breaks]]
    lasts = hours[[*breaks, True]]
    return list(zip(firsts, lasts, strict=True))


def stretch(first: pd.Timestamp, last: pd.Timestamp) -> str:
    """A range of hours as text, with the number of hours: `2025-04-19 00:00 .. 06:00 (7 hours)`."""
    hours = int((last - first) / HOUR) + 1
    if hours == 1:
        return f"{first:%Y-%m-%d %H:%M} (1 hour)"
    end = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"
    return f"{first:%Y-%m-%d %H:%M} .. {end} ({hours} hours)"
