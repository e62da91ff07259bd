"""Has a feature begun to lack its value?"""

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
"""Of the history, so many stretches of RECENT_HOURS, evenly spread, stand for the whole: what is read stays bounded."""

RISE = 0.25
"""A rate of missing values that is higher by more than this has jumped. On years of three markets with nothing wrong,
this and STRETCHES raised an alarm in 7 of 1,000 looks; 0.1 and 20 did in one of six."""

NAMED = 5


def missing_values(market: Market, feature_set: FeatureSet) -> dg.AssetCheckResult:
    """No feature is missing much more often in the newest rows than it ever was for so long.

    Each feature is held against its own history: some are never there (too few 1D bars for them), others are NaN for
    days and then are not. The worst stretch of the history is left aside, so that a fault is not the norm as soon as it
    is history itself. A warning: a missing value says that it is missing, and may have a good reason.
    """
    names = feature_set.names
    with stored_rows(market, feature_set) as (connection, hours):
        recent, before = hours[-RECENT_HOURS:], hours[:-RECENT_HOURS]
        if len(before) < 2 * RECENT_HOURS:
            return dg.AssetCheckResult(
                passed=True, description=f"{len(hours)} hours are too few to compare: it takes {3 * RECENT_HOURS}"
            )
        stretches = _stretches(before)
        read = values_at(connection, feature_set.key, hours[np.unique(stretches)].union(recent), names)
    missing = ~(read.abs() < np.inf)
    now = missing.loc[recent].mean()
    history = np.array([missing.loc[hours[stretch]].mean() for stretch in stretches])
    before_at_most = pd.Series(np.sort(history, axis=0)[-2], names)
    rise = (now - before_at_most).sort_values(ascending=False, kind="stable")
    jumped = list(rise[rise > RISE].index)
    told = f"{len(names)} features in the newest {RECENT_HOURS} hours"
    if jumped:
        told += f", {len(jumped)} missing more often than ever: {', '.join(jumped[:NAMED])}"
    else:
        told += ", none missing more often than ever"
    return dg.AssetCheckResult(
        passed=not jumped,
        severity=dg.AssetCheckSeverity.WARN,
        description=told + (" ..." if jumped[NAMED:] else ""),
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
    """Positions of evenly spread stretches, as long as the recent one: stretches x hours, the oldest first."""
    starts = np.linspace(0, len(hours) - RECENT_HOURS, STRETCHES).astype(int)
    return starts[:, None] + np.arange(RECENT_HOURS)
