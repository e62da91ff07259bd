"""Drift of features against plain pandas."""

import numpy as np
import pandas as pd
import pytest

from feature_backfill.reports.drift import NEWEST, feature_lines, histograms

DAYS = 400
HOURS = pd.date_range("2024-01-01", periods=24 * DAYS, freq="h", unit="us")
AGE = HOURS[-1] - HOURS
IS_NEWEST = AGE < NEWEST


@pytest.fixture(scope="module")
def features():
    random = np.random.default_rng(5)
    steady = random.standard_normal(len(HOURS))
    columns = {
        "steady": steady,
        "moved": np.where(IS_NEWEST, steady + 2, steady),
        "season": np.sin(np.arange(len(HOURS)) / len(HOURS) * 2 * np.pi * 12),
        "level": np.arange(len(HOURS)),
        "signal": random.integers(0, 2, len(HOURS)),
        "constant": np.ones(len(HOURS)),
        "changed constant": np.where(IS_NEWEST, 0.5, 1),
        "rare": np.where(np.arange(len(HOURS)) < len(HOURS) - 24, np.nan, steady),
        "infinite": np.where(IS_NEWEST, np.inf, steady),
    }
    return pd.DataFrame(columns, HOURS, dtype="float32")


@pytest.fixture(scope="module")
def lines(features):
    return {line.name: line for line in feature_lines(features)}


def psi(before, newest):
    """The textbook, in plain pandas: ten bins between the deciles of the older values."""
    edges = [-np.inf, *before.quantile(np.arange(1, 10) / 10), np.inf]
    q, p = (pd.cut(some, edges).value_counts(normalize=True, sort=False).clip(lower=1e-4) for some in (before, newest))
    return ((p - q) * np.log(p / q)).sum()


@pytest.mark.parametrize("name", ["steady", "moved", "season", "level"])
def test_the_psi_is_that_of_the_textbook(features, lines, name):
    column = features[name].astype("float64")
    year = column[~IS_NEWEST][-365 * 24 :]
    assert lines[name].drift.psi == pytest.approx(psi(year, column[IS_NEWEST]), rel=0.02)


def test_features_are_sorted_by_what_exceeds_the_months_before(lines):
    names = list(lines)
    assert names[:2] == ["changed constant", "moved"]
    assert lines["level"].drift.psi > 5 > lines["level"].drift.excess
    assert lines["season"].drift.excess < 0
    assert abs(lines["steady"].drift.excess) < 0.1


def test_features_of_few_values_have_a_drift_too(lines):
    assert lines["constant"].drift.psi == 0
    assert lines["changed constant"].drift.psi > 5
    assert lines["signal"].drift.psi < 0.01


def test_infinite_values_count_as_missing_and_too_few_values_are_not_compared(lines):
    assert lines["infinite"].missing_newest == 1
    assert lines["infinite"].missing == pytest.approx(IS_NEWEST.mean())
    assert lines["rare"].missing == pytest.approx(1 - 24 / len(HOURS))
    for name in ("infinite", "rare"):
        assert np.isnan(lines[name].drift.psi)
        assert not len(lines[name].drift.newest)
    assert set(list(lines)[-2:]) == {"infinite", "rare"}


def test_a_trend_is_the_mean_of_stretches(features, lines):
    parts = np.array_split(features["level"].to_numpy("float64"), 60)
    assert lines["level"].trend == pytest.approx([part.mean() for part in parts])
    assert np.isnan(lines["rare"].trend[:-1]).all()
    assert not np.isnan(lines["rare"].trend[-1])


def test_histograms_keep_what_lies_outside_in_the_outer_bins():
    newest, before = histograms(np.arange(1000.0), np.array([*np.arange(1000.0), 1e9]))
    assert newest == pytest.approx(np.full(20, 0.05), abs=0.01)
    assert before.sum() == pytest.approx(1)
    assert before[-1] == pytest.approx(before[-2], abs=0.02)


def test_a_short_history_is_not_compared():
    lines = feature_lines(pd.DataFrame({"x": np.arange(100.0)}, HOURS[:100]))
    assert np.isnan(lines[0].drift.psi)
