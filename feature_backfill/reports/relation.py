"""How the features went together with what the price did next, month by month. A description of the past only."""

from typing import TypeVar

import pandas as pd

Ranks = TypeVar("Ranks", pd.DataFrame, pd.Series)

LEAST_HOURS = 7 * 24
"""A month with fewer hours of both is left out."""


def monthly_correlations(features: pd.DataFrame, returns: pd.Series) -> pd.DataFrame:
    """Spearman's rank correlation of each feature with a return, in each calendar month.

    features: hours x features. returns: by hour; hours without a return are left out.
    Returns features x months (their first day), NaN where a feature is constant or has fewer than LEAST_HOURS values.
    """
    known = returns.reindex(features.index).dropna()
    months = pd.DatetimeIndex(known.index).to_period("M")
    columns = {
        month.to_timestamp(): _correlations(features.loc[some.index], some)
        for month, some in known.groupby(months)
        if len(some) >= LEAST_HOURS
    }
    return pd.DataFrame(columns, index=features.columns, dtype="float64")


def strongest_first(correlations: pd.DataFrame) -> pd.DataFrame:
    """The features that have a correlation, by the size of its mean over the months, whatever the sign."""
    size = correlations.mean(axis=1).abs().dropna().sort_values(ascending=False, kind="stable")
    return correlations.loc[size.index]


def _correlations(features: pd.DataFrame, returns: pd.Series) -> pd.Series:
    """Of one month. Where a feature lacks values, only the hours that it has are ranked."""
    count = features.count()
    complete = features.columns[count == len(features)]
    partial = features.columns[(count >= LEAST_HOURS) & (count < len(features))]
    ranks, target = _centred(features[complete].rank()), _centred(returns.rank())
    size = ((ranks**2).sum() * (target**2).sum()) ** 0.5
    gaps = {name: features[name].corr(returns, method="spearman") for name in partial}
    return pd.concat([ranks.mul(target, axis=0).sum() / size, pd.Series(gaps, dtype="float64")])


def _centred(ranks: Ranks) -> Ranks:
    return ranks - ranks.mean()
