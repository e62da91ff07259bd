"""Checks that every row of a feature key has exactly the configured names."""

from collections.abc import Sequence

import dagster as dg
import pandas as pd

from feature_backfill.checks.findings import Line, listed, ranges
from feature_backfill.checks.rows import stored_rows
from feature_backfill.config import FeatureSet, Market
from feature_backfill.store.row_contents import name_sets

EXAMPLES = 5


def feature_names(market: Market, feature_set: FeatureSet) -> dg.AssetCheckResult:
    """Every row has exactly the configured names, in any order.

    An error, because a model cannot use rows of 440 values and rows of 326 values under one key.
    """
    with stored_rows(market, feature_set) as (connection, _):
        sets = name_sets(connection, feature_set.key)
    configured = feature_set.names
    other = [(names, hours) for names, hours in sets if set(names) != set(configured)]
    rows, wrong = (sum(len(hours) for _, hours in some) for some in (sets, other))
    description = f"{rows} rows, "
    if other:
        sizes = ", ".join(f"{len(hours)} rows have {len(names)} names" for names, hours in other)
        description += (
            f"{wrong} without exactly the {len(configured)} configured names ({sizes}); store them under another key"
        )
    else:
        description += f"all with the {len(configured)} configured names"
    return dg.AssetCheckResult(
        passed=not other,
        severity=dg.AssetCheckSeverity.ERROR,
        description=description,
        metadata={
            "rows": rows,
            "rows_with_other_names": wrong,
            "sets_of_names": len({frozenset(names) for names, _ in sets}),
            **listed("other_names", (line for names, hours in other for line in _lines(names, hours, configured))),
        },
    )


def _lines(names: Sequence[str], hours: pd.DatetimeIndex, configured: Sequence[str]) -> list[Line]:
    """A line for each contiguous range of hours whose rows have these names instead of the configured ones."""
    lacking = [name for name in configured if name not in set(names)]
    unknown = [name for name in names if name not in set(configured)]
    return [
        {**line, "names": len(names), "lacking": _some(lacking), "unknown": _some(unknown)} for line in ranges(hours)
    ]


def _some(names: Sequence[str]) -> str:
    return f"{len(names)}: {', '.join(names[:EXAMPLES])}{' ...' if names[EXAMPLES:] else ''}" if names else "none"
