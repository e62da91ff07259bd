"""Every feature of some modules, tried on a market: what is wrong with each, and what is worth knowing of it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from feature_backfill.checks.harness.scene import Scene
from feature_backfill.checks.harness.trials import TRIALS, said
from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, FeatureGroup
from feature_backfill.engine.timeframes import HOURS_PER_BAR

ALIKE = 0.999
"""Absolute correlation from which on two features count as one."""


@dataclass(frozen=True)
class Verdict:
    """What is known of a feature, named without its timeframe.

    problem: the gravest thing that is wrong, in words; empty if it does what it declares. notes: what is worth knowing.
    missing, infinite: shares of the values, of the timeframes that have enough bars; NaN if it has no value.
    microseconds: an hour, on all timeframes, of the function that computes it; NaN if that fails.
    """

    feature: str
    problem: str = ""
    notes: tuple[str, ...] = ()
    missing: float = np.nan
    infinite: float = np.nan
    microseconds: float = np.nan


@dataclass
class Examination:
    """Examines features on a market, one function after the other.

    existing: hours x the features that they must not repeat; those examined join them.
    """

    scene: Scene
    existing: pd.DataFrame = field(default_factory=pd.DataFrame)

    def of(self, groups: Sequence[FeatureGroup]) -> Iterator[Verdict]:
        """A verdict for each feature, in the order of declaration."""
        for group in groups:
            yield from self._of_group(group)

    def _of_group(self, group: FeatureGroup) -> Iterator[Verdict]:
        try:
            started = time.perf_counter()
            values = self.scene.values(group)
            microseconds = (time.perf_counter() - started) / len(values) * 1e6
            found = self._found(group, values)
        except Exception as error:  # whatever a user's function raises
            yield from (Verdict(feature.name, said(error, group)) for feature in group.features)
            return
        for feature in group.features:
            yield self._verdict(feature, values, found.get(feature.name, ""), microseconds)
            own = values[[f"{feature.name}_{timeframe}" for timeframe in self.scene.timeframes]]
            self.existing = pd.concat([self.existing, own], axis=1)

    def _found(self, group: FeatureGroup, values: pd.DataFrame) -> dict[str, str]:
        """The problem of each feature that has one: the first that the trials find, for others follow from it."""
        found: dict[str, str] = {}
        for trial in TRIALS:
            if len(found) == len(group.features):
                break
            for finding in trial(self.scene, group, values):
                found.setdefault(finding.feature, finding.problem)
        return found

    def _verdict(self, feature: Feature, values: pd.DataFrame, problem: str, microseconds: float) -> Verdict:
        timeframes = [
            timeframe
            for timeframe in self.scene.timeframes
            if feature.min_bars <= self.scene.lookback.bars(HOURS_PER_BAR[timeframe])
        ]
        own = values[[f"{feature.name}_{timeframe}" for timeframe in timeframes]]
        if own.isna().to_numpy().all():
            problem = problem or f"has no value at any hour of {self.scene.name}"
        notes = (*self._constant(own), *self._alike(own))
        if not timeframes:
            return Verdict(feature.name, problem, notes, microseconds=microseconds)
        missing, infinite = (float(test(own.to_numpy()).mean()) for test in (np.isnan, np.isinf))
        return Verdict(feature.name, problem, notes, missing, infinite, microseconds)

    def _constant(self, own: pd.DataFrame) -> Iterator[str]:
        """A note of the timeframes on which a feature never changes."""
        constant = [_timeframe(name) for name in own.columns if own[name].nunique() == 1]
        if constant:
            yield f"constant on {', '.join(constant)}"

    def _alike(self, own: pd.DataFrame) -> Iterator[str]:
        """A note of the existing feature that a feature repeats on some timeframe."""
        for name in own.columns:
            others = [other for other in self.existing.columns if _timeframe(other) == _timeframe(name)]
            if not others:
                continue
            correlations = _correlations(own[name].to_numpy(), self.existing[others].to_numpy())
            if np.nanmax(correlations, initial=0) > ALIKE:
                most = int(np.nanargmax(correlations))
                yield f"{name} repeats {others[most]}: correlation {correlations[most]:.5f}"
                return


def _correlations(values: Floats, others: Floats) -> Floats:
    """The absolute correlation of values with each column of others, over the hours that all have finite values in."""
    with np.errstate(divide="ignore", invalid="ignore"):
        finite = np.where(np.isfinite(others) & np.isfinite(values)[:, None], others, np.nan)
        own = np.where(np.isfinite(finite), values[:, None], np.nan)
        count = np.isfinite(finite).sum(axis=0)
        x, y = (part - np.nansum(part, axis=0) / count for part in (own, finite))
        xy, xx, yy = (np.nansum(product, axis=0) for product in (x * y, x * x, y * y))
        return np.asarray(np.abs(xy) / np.sqrt(xx * yy))


def _timeframe(name: str) -> str:
    return name.rpartition("_")[2]
