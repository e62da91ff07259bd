"""From start, end and the default reach to the first and last hour of a range."""

import pandas as pd

from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR

DEFAULT_REACH = 48 * HOUR
"""How far before its last hour a range begins when no start is given: it spans 49 hours, both ends included."""


def resolved_range(
    start: pd.Timestamp | None,
    end: pd.Timestamp | None,
    newest: pd.Timestamp,
    reach: pd.Timedelta = DEFAULT_REACH,
) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The first and last whole hour from start to end.

    Without a start, the range reaches back from its last hour. Without an end, it ends with the newest hour.

    Raises UserError if no hour lies between them.
    """
    last = newest if end is None else end.floor("h")
    first = last - reach if start is None else start.ceil("h")
    if first > last:
        raise UserError(f"the start {first} is after the last hour asked for, {last}; swap them or leave one out")
    return first, last


def first_watched_hour(
    stored: pd.DatetimeIndex,
    last: pd.Timestamp,
    since: pd.Timestamp | None,
    first_hour: pd.Timestamp,
    wished: pd.Timestamp | None = None,
) -> pd.Timestamp:
    """The hour from which on a sensor sees to every hour.

    stored: hours with a row. last: the last closed hour of OHLCV. since: this hour as it was before, None at first.
    first_hour: of the market. When nothing is stored, it lies the default reach back; else it is the oldest stored hour
    when the sensor first looked. A row stored later before that hour does not move it: a backfill of some old hours is
    no wish for all the hours between. wished: the hour from which on somebody did wish for them all.
    """
    if stored.empty:
        first = max(last - DEFAULT_REACH, first_hour)
    else:
        first = stored[0] if since is None else max(since, first_hour)
    return min(first, last) if wished is None else min(first, max(wished, first_hour), last)
