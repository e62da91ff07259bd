"""Findings as metadata: tables that stay short."""

from collections.abc import Iterable, Mapping

import dagster as dg
import pandas as pd

from feature_backfill.hours import HOUR, contiguous_runs

SHOWN = 20
"""Lines of a table; how many more there are stands beside it."""

Line = Mapping[str, str | int | float]


def listed(title: str, lines: Iterable[Line]) -> dict[str, dg.MetadataValue]:
    """Metadata with the first lines as a table under a title; empty if there is no line."""
    every = list(lines)
    if not every:
        return {}
    table = dg.MetadataValue.table([dg.TableRecord(dict(line)) for line in every[:SHOWN]])
    return {title: table, **({f"{title}_not_shown": dg.MetadataValue.int(len(every) - SHOWN)} if every[SHOWN:] else {})}


def ranges(hours: pd.DatetimeIndex) -> list[dict[str, str | int]]:
    """A line for each contiguous range of ascending hours, the newest first."""
    return [
        {"first": str(first), "last": str(last), "hours": (last - first) // HOUR + 1}
        for first, last in reversed(contiguous_runs(hours))
    ]


def newest_range(hours: pd.DatetimeIndex) -> str:
    """The newest contiguous range of ascending hours, of which there is at least one, in words."""
    first, last = contiguous_runs(hours)[-1]
    return f"{first}" if first == last else f"{first} .. {last}"
