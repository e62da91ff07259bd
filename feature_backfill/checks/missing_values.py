"""Checks whether a feature has begun to lack its value."""

import dagster as dg
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feature_backfill.checks.findings import listed
from feature_backfill.checks.rows import stored_rows
from feature_backfill.config import FeatureSet, Market
from feature_backfill.store.row_contents import values_at

RECENT_HOURS = 48
STRETCHES = 100
"""How many evenly spaced stretches of RECENT_HOURS hours represent the history. It bounds how much is read."""

RISE = 0.25
"""A rate of missing values has jumped if it rose by more than this. Over years of three markets with nothing wrong,
RISE and STRETCHES raised a false alarm in 7 of 1,000 checks; a RISE of 0.1 with 20 stretches did in one of six."""

NAMED = 5


def missing_values(market: Market, feature_set: FeatureSet) -> dg.AssetCheckResult:
    """No feature lacks its value much more often in the newest rows than in any earlier stretch of the same length.

    Each feature is compared with its own history, because some are always missing (too few 1D bars) and others are NaN
    for days at a time. The worst stretch of the history is ignored; otherwise a fault would count as normal as soon as
    it is part of the history. A warning, because a missing value is visible as such and may have a good reason.
    """
    names = feature_set.names
    with stored_rows(market, feature_set) as (connection, hours):
        recent, before = hours[-RECENT_HOURS:], hours[:-RECENT_HOURS]
        if len(before) < 2 * RECENT_HOURS:
            return dg.AssetCheckResult(
                passed=True, description=f"{len(hours)} hours are too few to compare; it takes {3 * RECENT_HOURS}"
            )
        stretches = _stretches(before)
        read = values_at(connection, feature_set.key, hours[np.unique(stretches)].union(recent), names)
    missing = ~(read.abs() < np.inf)
    now = missing.loc[recent].mean()
    history = np.array([missing.loc[hours[stretch]].mean() for stretch in stretches])
    before_at_most = pd.Series(np.sort(history, axis=0)[-2], names)
    rise = (now - before_at_most).sort_values(ascending=False, kind="stable")
    jumped = list(rise[rise > RISE].index)
    description = f"{len(names)} features in the newest {RECENT_HOURS} hours"
    if jumped:
        more = " ..." if jumped[NAMED:] else ""
        description += f", {len(jumped)} missing much more often than before: {', '.join(jumped[:NAMED])}{more}"
    else:
        description += ", none missing much more often than before"
    return dg.AssetCheckResult(
        passed=not jumped,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={
            "newest_hours": f"{recent[0]} .. {recent[-1]}",
            "rate_now": float(now.mean()),
            "rate_before": float(history.mean()),
            "features_jumped": len(jumped),
            **listed(
                "jumped",
                [
                    {"feature": name, "now": float(now[name]), "before_at_most": float(before_at_most[name])}
                    for name in jumped
                ],
            ),
        },
    )


def _stretches(hours: pd.DatetimeIndex) -> NDArray[np.int_]:
    """Positions of evenly spaced stretches of RECENT_HOURS hours: stretches x hours, oldest first."""
    starts = np.linspace(0, len(hours) - RECENT_HOURS, STRETCHES).astype(int)
    return starts[:, None] + np.arange(RECENT_HOURS)
