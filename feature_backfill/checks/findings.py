"""Findings of checks as metadata tables of bounded length."""

from collections.abc import Iterable, Mapping

import dagster as dg
import pandas as pd

from feature_backfill.hours import HOUR, contiguous_runs

SHOWN = 20
"""The most lines that a table shows. A separate entry gives the number of lines left out."""

Line = Mapping[str, str | int | float]


def listed(title: str, lines: Iterable[Line]) -> dict[str, dg.MetadataValue]:
    """Metadata that shows the first lines as a table under a title. Empty if there are no lines."""
    every = list(lines)
    if not every:
        return {}
    table = dg.MetadataValue.table([dg.TableRecord(dict(line)) for line in every[:SHOWN]])
    return {title: table, **({f"{title}_not_shown": dg.MetadataValue.int(len(every) - SHOWN)} if every[SHOWN:] else {})}


def ranges(hours: pd.DatetimeIndex) -> list[dict[str, str | int]]:
    """A line for each contiguous range of ascending hours, newest range first."""
    return [
        {"first": str(first), "last": str(last), "hours": (last - first) // HOUR + 1}
        for first, last in reversed(contiguous_runs(hours))
    ]


def newest_range(hours: pd.DatetimeIndex) -> str:
    """The newest contiguous range of ascending hours, as text. There must be at least one hour."""
    first, last = contiguous_runs(hours)[-1]
    return f"{first}" if first == last else f"{first} .. {last}"
