"""How the newest values of each feature compare with those of the year before.

The measure is the population stability index (PSI), as credit scoring uses it to see whether a model still meets the
population that it was made for: the sum over bins of (p - q) * ln(p / q), where q and p are the shares of the older and
the newer values in a bin.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Values = NDArray[np.float64]
Counts = NDArray[np.int64]

NEWEST = pd.Timedelta(days=30)
BEFORE = pd.Timedelta(days=365)
LEAST_VALUES = 168
"""Of fewer values, a week of hours, no distribution is compared."""

LEAST_STRETCHES = 3
"""Of fewer stretches of the year before, the newest days are compared with none."""

SHIFTED, DRIFTED = 0.1, 0.25
"""The customary limits of the PSI: below the first a distribution counts as stable, above the second as another one."""

QUANTILES = np.arange(1, 10) / 10
SMALLEST_SHARE = 1e-4
"""Stands for the share of an empty bin, which has no logarithm."""

HISTOGRAM_BINS = 20
TREND_POINTS = 60


def _nothing() -> Values:
    return np.array([])


@dataclass(frozen=True)
class Drift:
    """How the newest values of a feature are distributed, compared with those of the year before them.

    psi: NaN if one of the two has too few values.
    psi_before: the largest that a stretch as long as the newest days had against the rest of the year before; NaN if
    there are too few stretches. A price level, or the month of the year, always has a large one.
    newest, before: the shares of the values in HISTOGRAM_BINS bins of equal width; empty where psi is NaN.
    """

    psi: float = np.nan
    psi_before: float = np.nan
    newest: Values = field(default_factory=_nothing)
    before: Values = field(default_factory=_nothing)

    @property
    def excess(self) -> float:
        """By how much the PSI exceeds every one before; the PSI itself where those are not known."""
        return self.psi if np.isnan(self.psi_before) else self.psi - self.psi_before


@dataclass(frozen=True)
class FeatureLine:
    """One feature over its whole history.

    missing, missing_newest: the share of rows without a finite value, of all rows and of the newest days.
    trend: the mean in each of TREND_POINTS stretches of equal length, NaN where there is no value.
    """

    name: str
    missing: float
    missing_newest: float
    drift: Drift
    trend: Values


def feature_lines(features: pd.DataFrame) -> list[FeatureLine]:
    """A line for each feature, those that drifted most first. features: stored hours, at least one, x features.

    Infinite values count as missing.
    """
    finite = features.where(np.isfinite(features))
    age = np.asarray((finite.index[-1] - finite.index) // NEWEST)
    in_year = np.asarray(finite.index > finite.index[-1] - NEWEST - BEFORE)
    missing, missing_newest, trends = finite.isna().mean(), finite[age == 0].isna().mean(), _trends(finite)
    lines = []
    for position, name in enumerate(finite.columns):
        values = finite.iloc[:, position].to_numpy(np.float64)
        known = in_year & ~np.isnan(values)
        drift = drift_of(values[known], age[known])
        lines.append(FeatureLine(name, missing[name], missing_newest[name], drift, trends[:, position]))
    return sorted(lines, key=lambda line: np.nan_to_num(line.drift.excess, nan=-np.inf), reverse=True)


def drift_of(values: Values, age: Counts) -> Drift:
    """The drift of finite values. age: of each, in stretches as long as the newest days; theirs is 0."""
    newest, before = values[age == 0], values[age > 0]
    if min(len(newest), len(before)) < LEAST_VALUES:
        return Drift()
    counts = _counts(values, age, before)
    year = counts[1:].sum(axis=0)
    stretches = [
        population_stability_index(year - stretch, stretch)
        for stretch in counts[1:]
        if min(stretch.sum(), (year - stretch).sum()) >= LEAST_VALUES
    ]
    psi_before = max(stretches) if len(stretches) >= LEAST_STRETCHES else np.nan
    return Drift(population_stability_index(year, counts[0]), psi_before, *histograms(newest, before))


def population_stability_index(before: Counts, newest: Counts) -> float:
    """The PSI of newer values against older ones; both as the number of values in each bin."""
    q, p = (np.maximum(counts / counts.sum(), SMALLEST_SHARE) for counts in (before, newest))
    return float(np.sum((p - q) * np.log(p / q)))


def histograms(newest: Values, before: Values) -> tuple[Values, Values]:
    """The shares of both in bins of equal width over the middle 98 % of each. What lies outside is in the outer."""
    ends = [np.quantile(values, (0.01, 0.99)) for values in (newest, before)]
    edges = np.linspace(np.min(ends), np.max(ends), HISTOGRAM_BINS + 1)[1:-1]

    def shares(values: Values) -> Values:
        return np.bincount(np.searchsorted(edges, values, "right"), minlength=HISTOGRAM_BINS) / len(values)

    return shares(newest), shares(before)


def _counts(values: Values, age: Counts, before: Values) -> Counts:
    """Ages x bins: how many values of each age lie between two deciles of the year before.

    A value that equals a decile has a bin of its own. So a change shows in features of few values too, such as signals.
    """
    edges = np.unique(np.quantile(before, QUANTILES))
    bins = np.searchsorted(edges, values, "left") + np.searchsorted(edges, values, "right")
    shape = int(age.max()) + 1, 2 * len(edges) + 1
    return np.bincount(np.ravel_multi_index((age, bins), shape), minlength=shape[0] * shape[1]).reshape(shape)


def _trends(features: pd.DataFrame) -> Values:
    """TREND_POINTS x features: the means of stretches of equal length."""
    passed = (features.index - features.index[0]) / (features.index[-1] - features.index[0] + pd.Timedelta(hours=1))
    stretch = np.floor(np.asarray(passed) * TREND_POINTS).astype(int)
    return features.groupby(stretch).mean().reindex(range(TREND_POINTS)).to_numpy(np.float64)
