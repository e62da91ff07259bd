"""The values that features of a user's own should have, by the scalar references that their declarations give."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from feature_backfill.checks.oracle import Bars
from feature_backfill.engine.catalog import Catalog
from feature_backfill.engine.columns import Column
from feature_backfill.engine.feature import DeclarationError, Feature, FeatureGroup


def rules_of(columns: Sequence[Column]) -> dict[str, tuple[str, str]]:
    """The rules of further columns in the oracle's terms."""
    return {column.name: (column.bar, column.if_bad) for column in columns}


def reference_values(catalog: Catalog, bars: Mapping[str, Bars]) -> dict[str, float]:
    """`<feature>_<timeframe>` -> value for the bars of each timeframe, of the features that have a reference.

    Raises DeclarationError if a reference fails, or gives something other than a number for each feature.
    """
    return {
        f"{feature.name}_{timeframe}": value
        for timeframe, kept in bars.items()
        for group in catalog.groups
        if group.reference is not None
        for feature, value in zip(group.features, _values(group, kept), strict=True)
    }


def _values(group: FeatureGroup, bars: Bars) -> list[float]:
    if len(bars) < group.min_bars:
        return [math.nan] * len(group.features)
    assert group.reference is not None
    try:
        given = group.reference(bars)
    except Exception as error:  # whatever a user's function raises
        raise DeclarationError(f"the reference of {group.label} fails: {type(error).__name__}: {error}") from error
    values: list[Any] = list(given) if isinstance(given, tuple | list) else [given]
    if len(values) != len(group.features) or not all(isinstance(value, Real) for value in values):
        raise DeclarationError(
            f"the reference of {group.label} gives {given!r}; it must give one number for each of its "
            f"{len(group.features)} features"
        )
    return [_defined(feature, group, bars, float(value)) for feature, value in zip(group.features, values, strict=True)]


def _defined(feature: Feature, group: FeatureGroup, bars: Bars, value: float) -> float:
    """The value, and NaN with too few bars, or where one of the bars that the feature reads lacks a column."""
    read = min(feature.reads, len(bars))
    lacking = any(math.isnan(item) for name in group.columns for item in bars.columns[name][-read:])
    return math.nan if lacking or len(bars) < feature.min_bars else value
