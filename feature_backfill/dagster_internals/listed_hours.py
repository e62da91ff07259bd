"""Runs over some hours of their range. Dagster itself knows runs of contiguous ranges only.

Such a run has the range's tags, which Dagster reads, and a tag of the project's that lists the hours which are meant.
Its assets look at no other hour. The event log plans no other hour either, so that the rest of the range does not read
as missing because of this run.

Rests on a fact of Dagster 1.13.27 that is not public: a range is planned in one event, which the batched event log
turns into the events of its partitions. The public alternative is a run for each contiguous range, a second each.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from feature_backfill.hours import contiguous_runs, hour_of, hour_range, partition_key

ONLY_HOURS_TAG = "feature_backfill/only_hours"
_UP_TO, _AND = "...", ","


def only_hours_tag(hours: pd.DatetimeIndex) -> dict[str, str]:
    """The tag that lists hours, ascending."""
    return {ONLY_HOURS_TAG: hours_as_text(hours)}


def only_hours(tags: Mapping[str, str]) -> pd.DatetimeIndex | None:
    """The hours that a run with these tags lists, ascending; None if it is about its whole range."""
    text = tags.get(ONLY_HOURS_TAG)
    return None if text is None else hours_of_text(text)


def hours_as_text(hours: pd.DatetimeIndex) -> str:
    """Hours, ascending, as partition keys; several in a row are `first...last`."""
    parts = [
        partition_key(first) if first == last else f"{partition_key(first)}{_UP_TO}{partition_key(last)}"
        for first, last in contiguous_runs(hours)
    ]
    return _AND.join(parts)


def hours_of_text(text: str) -> pd.DatetimeIndex:
    """The hours of a text that hours_as_text made. Raises ValueError for any other text."""
    ends = [part.partition(_UP_TO) for part in text.split(_AND)]
    return pd.DatetimeIndex(
        np.concatenate([hour_range(hour_of(first), hour_of(last or first)) for first, _, last in ends])
    )
