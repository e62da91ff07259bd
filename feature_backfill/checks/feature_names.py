"""Do all rows of a feature key have the names that are configured?"""

from collections.abc import Sequence

import dagster as dg
import pandas as pd

from feature_backfill.checks.findings import Line, listed, ranges
from feature_backfill.checks.rows import stored_rows
from feature_backfill.config import FeatureSet, Market
from feature_backfill.store.row_contents import name_sets

EXAMPLES = 5


def feature_names(market: Market, feature_set: FeatureSet) -> dg.AssetCheckResult:
    """Every row has the configured names, no more and no fewer; their order is not looked at.

    An error: a model that reads rows of 440 values and rows of 326 under one key reads wrong ones.
    """
    with stored_rows(market, feature_set) as (connection, _):
        sets = name_sets(connection, feature_set.key)
    configured = feature_set.names
    other = [(names, hours) for names, hours in sets if set(names) != set(configured)]
    rows, wrong = (sum(len(hours) for _, hours in some) for some in (sets, other))
    told = f"{rows} rows, "
    if other:
        sizes = ", ".join(f"{len(hours)} rows have {len(names)}" for names, hours in other)
        told += f"{wrong} without the {len(configured)} configured names: {sizes}; store them under a key of their own"
    else:
        told += f"all with the {len(configured)} configured names"
    return dg.AssetCheckResult(
        passed=not other,
        severity=dg.AssetCheckSeverity.ERROR,
        description=told,
        metadata={
            "rows": rows,
            "rows_with_other_names": wrong,
            "sets_of_names": len({frozenset(names) for names, _ in sets}),
            **listed("other_names", (line for names, hours in other for line in _lines(names, hours, configured))),
        },
    )


def _lines(names: Sequence[str], hours: pd.DatetimeIndex, configured: Sequence[str]) -> list[Line]:
    """A line for each range of the rows that have these names, which are not the configured ones."""
    lacking = [name for name in configured if name not in set(names)]
    unknown = [name for name in names if name not in set(configured)]
    return [
        {**line, "names": len(names), "lacking": _some(lacking), "unknown": _some(unknown)} for line in ranges(hours)
    ]


def _some(names: Sequence[str]) -> str:
    return f"{len(names)}: {', '.join(names[:EXAMPLES])}{' ...' if names[EXAMPLES:] else ''}" if names else "none"
