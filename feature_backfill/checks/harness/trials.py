"""What may be wrong with a feature function, each as a trial that says what it found and what to mend.

A trial takes the market, the function and its values for all targets, and gives the findings by feature.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from feature_backfill.checks import oracle
from feature_backfill.checks.harness.scene import Scene
from feature_backfill.checks.references import reference_values, rules_of
from feature_backfill.checks.tolerances import departures
from feature_backfill.engine.bars import Booleans, Floats, epoch_hours, names_of
from feature_backfill.engine.catalog import Catalog
from feature_backfill.engine.feature import DeclarationError, FeatureGroup
from feature_backfill.engine.lookback import Lookback
from feature_backfill.engine.timeframes import HOURS_PER_BAR
from feature_backfill.hours import HOUR

RELATIVE, ABSOLUTE = 1e-9, 1e-12
"""Differences up to RELATIVE of a value plus ABSOLUTE are rounding."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a feature, named without its timeframe, and what to do about it."""

    feature: str
    problem: str


Trial = Callable[[Scene, FeatureGroup, pd.DataFrame], Iterator[Finding]]


def keeps_state(scene: Scene, group: FeatureGroup, values: pd.DataFrame) -> Iterator[Finding]:
    """The same call a second time must give the same values, to the bit."""
    again = scene.values(group)
    different = ~((again == values) | (again.isna() & values.isna()))
    for feature, name, hour in _first_of_each(group, scene, different):
        yield Finding(
            feature,
            f"keeps state: {name} at {hour} is {_at(again, hour, name)} in a second call and was "
            f"{_at(values, hour, name)} in the first; compute it from the argument alone",
        )


def looks_ahead(scene: Scene, group: FeatureGroup, values: pd.DataFrame) -> Iterator[Finding]:
    """Other rows after an hour must not change values up to that hour."""
    different = pd.DataFrame(False, index=values.index, columns=values.columns)
    for probe in scene.probes:
        changed = scene.values(group, changed=(probe + HOUR, pd.Timestamp.max))
        different |= _differ(changed, values) & (values.index <= probe).reshape(-1, 1)
    for feature, name, hour in _first_of_each(group, scene, different):
        yield Finding(
            feature,
            f"looks ahead: later rows change {name} at {hour}; take no bar after the newest of the lookback, and "
            "nothing that is computed over all of w.close, such as its mean",
        )


def looks_before_its_lookback(scene: Scene, group: FeatureGroup, values: pd.DataFrame) -> Iterator[Finding]:
    """Other rows before the lookback of an hour must not change values from that hour on."""
    different = pd.DataFrame(False, index=values.index, columns=values.columns)
    for probe in scene.few_probes:
        changed = scene.values(group, changed=(pd.Timestamp.min, scene.lookback.first_hour(probe) - HOUR))
        different |= _differ(changed, values) & (values.index >= probe).reshape(-1, 1)
    for feature, name, hour in _first_of_each(group, scene, different):
        yield Finding(
            feature,
            f"depends on rows before its lookback: they change {name} at {hour}; use tail, sum, mean, max, min or "
            "weighted_sum of the windows, not a running sum over all of them, and take OhlcvWindows or Lookbacks if it "
            "reads open, high, low or volume of the oldest bar",
        )


def depends_on_batch(scene: Scene, group: FeatureGroup, values: pd.DataFrame) -> Iterator[Finding]:
    """An hour computed alone must have the value that it has among others."""
    alone = pd.concat([scene.values(group, targets=pd.DatetimeIndex([probe])) for probe in scene.few_probes])
    for feature, name, hour in _first_of_each(group, scene, _differ(alone, values.loc[alone.index])):
        yield Finding(
            feature,
            f"an hour alone differs from the hour in a batch: {name} at {hour} is {_at(alone, hour, name)} alone and "
            f"{_at(values, hour, name)} among {len(values)} hours; compute each lookback from its own bars",
        )


def reads_more_than_declared(scene: Scene, group: FeatureGroup, values: pd.DataFrame) -> Iterator[Finding]:
    """Other rows before the bars that a feature declares to read must not change it."""
    for reads in sorted({feature.reads for feature in group.features}):
        names = [feature.name for feature in group.features if feature.reads == reads]
        for timeframe in scene.timeframes:
            different = _with_other_bars_before(scene, group, reads, timeframe, values)
            found = [name for name in names if different[f"{name}_{timeframe}"].any()]
            for name in found:
                hour = different.index[different[f"{name}_{timeframe}"]][0]
                yield Finding(
                    name,
                    f"depends on more bars than it declares: bars before the newest {reads} change {name}_{timeframe} "
                    f"at {hour}; declare reads={reads + 1} or more, or reads=ALL_BARS, or read fewer",
                )
            names = [name for name in names if name not in found]


def _with_other_bars_before(
    scene: Scene, group: FeatureGroup, reads: int, timeframe: str, values: pd.DataFrame
) -> pd.DataFrame:
    """Probes x features of a timeframe: which change with the bars before the newest so many."""
    length = HOURS_PER_BAR[timeframe]
    probes = scene.few_probes if reads < scene.lookback.bars(length) else scene.few_probes[:0]
    changed = [scene.values(group, probes[:0], timeframes=[timeframe])]
    for hour, probe in zip(epoch_hours(probes).tolist(), probes, strict=True):
        last = probe - (hour % length + reads * length) * HOUR
        changed.append(scene.values(group, pd.DatetimeIndex([probe]), (pd.Timestamp.min, last), [timeframe]))
    frame = pd.concat(changed)
    return _differ(frame, values.loc[frame.index, frame.columns])


def needs_more_than_declared(scene: Scene, group: FeatureGroup, values: pd.DataFrame) -> Iterator[Finding]:
    """A lookback of min_bars bars must suffice."""
    bars = sorted({feature.min_bars for feature in group.features})
    try:
        for count in bars:
            scene.values(group, targets=scene.few_probes[-1:], timeframes=["1H"], lookback=Lookback(count))
    except Exception as error:  # whatever a user's function raises
        for feature in group.features:
            yield Finding(feature.name, f"fails in a lookback of {count} bars: {said(error, group)}")


def differs_from_reference(scene: Scene, group: FeatureGroup, values: pd.DataFrame) -> Iterator[Finding]:
    """The scalar reference must give the same values, up to rounding."""
    if group.reference is None:
        return
    columns = [column for column in scene.columns if column.name in group.columns]
    catalog, found = Catalog.of_groups([group]), set()
    rows = oracle.hourly_rows(scene.ohlcv, names_of(columns))
    for probe in scene.few_probes:
        bars = oracle.bars_of_hour(
            rows,
            probe.to_pydatetime(),
            scene.lookback.base_hours,
            scene.lookback.buffer,
            scene.timeframes,
            rules_of(columns),
        )
        assert not isinstance(bars, oracle.Skip), bars
        row = dict(zip(values.columns, values.loc[probe], strict=True))
        for departure in departures(row, reference_values(catalog, bars), bars):
            feature = departure.name.rpartition("_")[0]
            if feature not in found:
                found.add(feature)
                yield Finding(feature, f"differs from its reference: at {probe} {departure}; one of the two is wrong")


TRIALS: tuple[Trial, ...] = (
    keeps_state,
    looks_ahead,
    looks_before_its_lookback,
    depends_on_batch,
    reads_more_than_declared,
    needs_more_than_declared,
    differs_from_reference,
)


def _differ(some: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Where two frames of the same hours and names differ by more than rounding."""
    a, b = some.to_numpy(), others.to_numpy()
    return pd.DataFrame(~close(a, b), index=others.index, columns=others.columns)


def close(a: Floats, b: Floats) -> Booleans:
    """Where values are equal up to rounding; NaN equals NaN, an infinity itself."""
    return (a == b) | np.isclose(a, b, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)


def _first_of_each(
    group: FeatureGroup, scene: Scene, different: pd.DataFrame
) -> Iterator[tuple[str, str, pd.Timestamp]]:
    """For each feature that differs somewhere: its name, the name with the timeframe, and the first hour."""
    for feature in group.features:
        for timeframe in scene.timeframes:
            name = f"{feature.name}_{timeframe}"
            if different[name].any():
                yield feature.name, name, different.index[different[name]][0]
                break


def _at(values: pd.DataFrame, hour: pd.Timestamp, name: str) -> str:
    """A value of hours x names, as text."""
    return f"{float(values[name][hour]):.12g}"


def said(error: Exception, group: FeatureGroup) -> str:
    """What an error of a feature function says."""
    return (
        str(error) if isinstance(error, DeclarationError) else f"{group.label} raises {type(error).__name__}: {error}"
    )
