"""Correlations with the next hours' return against plain pandas."""

import numpy as np
import pandas as pd

from feature_backfill.reports.relation import monthly_correlations, strongest_first

HOURS = pd.date_range("2024-01-01", "2024-04-03 23:00", freq="h", unit="us")


def example():
    random = np.random.default_rng(7)
    returns = pd.Series(random.standard_t(3, len(HOURS)), HOURS)
    returns.iloc[-24:] = np.nan
    returns.iloc[100:130] = np.nan
    features = pd.DataFrame(
        {
            "noise": random.standard_normal(len(HOURS)),
            "follows": returns.fillna(0) + random.standard_normal(len(HOURS)),
            "steps": random.integers(0, 3, len(HOURS)),
            "gaps": np.where(random.random(len(HOURS)) < 0.2, np.nan, -returns),
            "constant": 1.0,
            "absent": np.nan,
        },
        HOURS,
    )
    return features, returns


def test_each_month_is_spearmans_correlation():
    features, returns = example()
    found = monthly_correlations(features.drop(HOURS[200:300]), returns)
    assert list(found.columns) == list(pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"]))  # April has 2 days
    together = features.drop(HOURS[200:300]).assign(returns=returns).dropna(subset="returns")
    for month, hours in together.groupby(together.index.to_period("M")):
        if len(hours) < 168:
            continue
        expected = hours.corr(method="spearman")["returns"].drop("returns")
        pd.testing.assert_series_equal(found[month.to_timestamp()], expected, check_names=False)


def test_the_strongest_come_first_and_those_without_a_value_are_left_out():
    found = strongest_first(monthly_correlations(*example()))
    assert list(found.index[:2]) == ["gaps", "follows"]
    assert set(found.index) == {"gaps", "follows", "noise", "steps"}


def test_without_a_whole_week_there_is_no_month():
    features, returns = example()
    assert monthly_correlations(features[:100], returns[:100]).shape == (6, 0)
