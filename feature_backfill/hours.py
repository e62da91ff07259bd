"""Hours and partitions: partition key <-> UTC timestamp, ranges, contiguous runs, the closed-hour cutoff.

An hour is named by the opening time of its bar. Timestamps are UTC without a zone; partition keys are the strings
that Dagster's hourly partitions use.
"""

import re
from collections.abc import Iterable, Sequence
from numbers import Number

import pandas as pd

HOUR = pd.Timedelta(hours=1)
EARLIEST = pd.Timestamp("1973-01-01")
"""Before it there are no hourly bars: such a stamp was read in the wrong unit of time."""

TOLD = 20
"""How many of many unparsable stamps a message lists."""

PARTITION_KEY_FORMAT = "%Y-%m-%d-%H:%M"


def partition_key(hour: pd.Timestamp) -> str:
    """The partition key of an hour."""
    return hour.strftime(PARTITION_KEY_FORMAT)


def partition_keys(hours: pd.DatetimeIndex) -> list[str]:
    """The partition keys of hours, in the same order."""
    return list(hours.strftime(PARTITION_KEY_FORMAT))


def hour_of(key: str) -> pd.Timestamp:
    """The hour that a partition key names."""
    return pd.to_datetime(key, format=PARTITION_KEY_FORMAT)


def to_utc(stamps: Iterable[object]) -> pd.DatetimeIndex:
    """Timestamps as UTC without a zone: an offset is converted, a naive stamp is UTC already, a date is its midnight.

    Raises ValueError with stamps that do not parse. Numbers do not: their unit would be a guess. Nor does text that
    does not begin with the year, which is read one way here and another there (05/01/2025).
    """
    if isinstance(stamps, pd.Series) and stamps.dtype.kind == "M":
        stamps = pd.DatetimeIndex(stamps)
    if isinstance(stamps, pd.DatetimeIndex):
        return (stamps.tz_convert("UTC").tz_localize(None) if stamps.tz is not None else stamps).as_unit("us")
    parsed = [_parse(stamp) for stamp in stamps]
    unparsable = [str(stamp) for stamp, hour in parsed if hour is None]
    if unparsable:
        more = f" and {len(unparsable) - TOLD} more" if len(unparsable) > TOLD else ""
        raise ValueError(
            f"not a timestamp: {', '.join(map(repr, unparsable[:TOLD]))}{more}; write for example 2025-11-13T08:00Z"
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
    """Every hour from first to last, both included."""
    return pd.date_range(first, last, freq="h", unit="us")


def last_closed_hour(now: pd.Timestamp | None = None) -> pd.Timestamp:
    """The newest hour whose bar has closed: at 13:12 that is 12:00."""
    moment = pd.Timestamp.now(tz="UTC").tz_localize(None) if now is None else now
    return moment.floor("h") - HOUR


def contiguous_runs(hours: pd.DatetimeIndex) -> Sequence[tuple[pd.Timestamp, pd.Timestamp]]:
    """(first, last) of every unbroken run in ascending hours."""
    if hours.empty:
        return []
    breaks = (hours[1:] - hours[:-1]) != HOUR
    firsts = hours[[True, *breaks]]
    lasts = hours[[*breaks, True]]
    return list(zip(firsts, lasts, strict=True))
