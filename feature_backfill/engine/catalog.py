"""The catalogue: every feature that is computed on the bars of a timeframe, in the order of emission.

To add a feature, write its function in the file of its family, put its name at the end of order.py and its formula into
checks/oracle.py, and generate docs/features.md (see reference.py).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from types import ModuleType

from feature_backfill.engine import (
    calendar,
    candle,
    channel,
    cycle,
    dependence,
    directional,
    distribution,
    momentum,
    price,
    trend,
    volatility,
    volume,
)
from feature_backfill.engine.feature import DeclarationError, Feature, FeatureGroup
from feature_backfill.engine.order import ORDER
from feature_backfill.engine.timeframes import DEFAULT_TIMEFRAMES, canonical_timeframes

FAMILIES = (
    calendar,
    candle,
    channel,
    cycle,
    dependence,
    directional,
    distribution,
    momentum,
    price,
    trend,
    volatility,
    volume,
)


@dataclass(frozen=True)
class Section:
    """Features that stand together in every row, in the order of emission, and the functions that compute them."""

    features: tuple[Feature, ...]
    groups: tuple[FeatureGroup, ...]

    @cached_property
    def position(self) -> dict[str, int]:
        """Feature name -> its position in the order of emission, from 0."""
        return {feature.name: position for position, feature in enumerate(self.features)}


@dataclass(frozen=True)
class Catalog:
    """Features in the order of emission: section by section, in each section timeframe by timeframe.

    The built-in features are the first section; each module of a user's own adds one, so that it moves no other name.
    Made by build_catalog and extended.
    """

    sections: tuple[Section, ...]

    @classmethod
    def of_groups(cls, groups: Sequence[FeatureGroup]) -> "Catalog":
        """The features of functions alone, in the order of their declarations."""
        return cls((Section(tuple(feature for group in groups for feature in group.features), tuple(groups)),))

    @property
    def own(self) -> "Catalog":
        """The features of a user's own: all but the built-in ones."""
        return Catalog(tuple(section for section in self.sections if section not in BUILT_IN.sections))

    def names(self, timeframes: Iterable[str] = DEFAULT_TIMEFRAMES) -> list[str]:
        """Names in the order of emission, `<feature>_<timeframe>`: all of the first timeframe, then of the second ...

        Raises ValueError for a timeframe that does not divide a day or is given twice.
        """
        return [f"{feature.name}_{timeframe}" for timeframe, feature in self._columns(timeframes)]

    def summaries(self, timeframes: Iterable[str] = DEFAULT_TIMEFRAMES) -> dict[str, str]:
        """The summary of each of names()."""
        return {
            f"{feature.name}_{timeframe}": f"{feature.summary}, on {timeframe} bars"
            for timeframe, feature in self._columns(timeframes)
        }

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features of all sections."""
        return tuple(feature for section in self.sections for feature in section.features)

    @property
    def groups(self) -> tuple[FeatureGroup, ...]:
        """The functions of all sections."""
        return tuple(group for section in self.sections for group in section.groups)

    @property
    def columns(self) -> tuple[str, ...]:
        """The further hourly columns that some function reads, each once."""
        return tuple(dict.fromkeys(column for group in self.groups for column in group.columns))

    def extended(self, modules: Iterable[ModuleType]) -> "Catalog":
        """This catalogue, followed by the features of modules, in the order in which each declares them.

        Raises DeclarationError as build_catalog does, and for a name that is taken.
        """
        catalog = self
        for module in modules:
            names = [feature.name for group in groups_of(module) for feature in group.features]
            known = {feature.name.lower() for feature in catalog.features}
            taken = [name for name in dict.fromkeys(names) if name.lower() in known]
            if taken:
                raise DeclarationError(f"{module.__name__}: the name {', '.join(taken)} is taken; rename it")
            catalog = Catalog((*catalog.sections, *build_catalog(list(dict.fromkeys(names)), [module]).sections))
        return catalog

    def _columns(self, timeframes: Iterable[str]) -> Iterator[tuple[str, Feature]]:
        every = canonical_timeframes(timeframes)
        return (
            (timeframe, feature) for section in self.sections for timeframe in every for feature in section.features
        )


def groups_of(module: ModuleType) -> list[FeatureGroup]:
    """The feature functions of a module, as they stand in it: its attributes, and the items of its lists and tuples."""
    found = {}
    for value in vars(module).values():
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, FeatureGroup):
                found[id(item)] = item
    return list(found.values())


def build_catalog(order: Sequence[str], modules: Iterable[ModuleType]) -> Catalog:
    """The features that modules declare, in the given order of emission.

    order: feature names without the timeframe.
    Raises DeclarationError with all that is wrong: a module without features, a name that is declared or ordered twice,
    that is declared and not ordered or ordered and not declared, a min_bars below 1, no summary.
    """
    by_module = {module: groups_of(module) for module in modules}
    groups = tuple(group for groups in by_module.values() for group in groups)
    problems = [f"{module.__name__} declares no features" for module, groups in by_module.items() if not groups]
    problems += _problems(order, groups)
    if problems:
        raise DeclarationError("; ".join(problems))
    features = {feature.name: feature for group in groups for feature in group.features}
    return Catalog((Section(tuple(features[name] for name in order), groups),))


def _problems(order: Sequence[str], groups: Sequence[FeatureGroup]) -> Iterator[str]:
    """What is wrong with the declarations of groups, in words."""
    declared: dict[str, list[str]] = {}
    for group in groups:
        if not group.features:
            yield f"{group.label} declares no features"
        for feature in group.features:
            declared.setdefault(feature.name, []).append(group.label)
            if not re.fullmatch(r"[A-Za-z]\w*", feature.name, re.ASCII):
                yield f"{group.label} declares {feature.name!r}: a name has letters, digits and underscores"
            if feature.min_bars < 1:
                yield f"{group.label} declares {feature.name} with min_bars={feature.min_bars}: it must be 1 or more"
            if not feature.summary:
                yield f"{group.label} declares {feature.name} without a summary"
    for lower, times in Counter(name.lower() for name in declared).items():
        if times > 1:
            alike = " and ".join(name for name in declared if name.lower() == lower)
            yield f"{alike} differ in case only, which SQL does not see"
    for name, labels in declared.items():
        if len(labels) > 1:
            yield f"{name} is declared {len(labels)} times: by {' and '.join(labels)}"
        if name not in order:
            yield f"{name}, declared by {labels[0]}, is not in the order of emission (engine/order.py): add it"
    for name, times in Counter(order).items():
        if times > 1:
            yield f"{name} is {times} times in the order of emission (engine/order.py)"
        if name not in declared:
            yield f"{name} is in the order of emission (engine/order.py), but no function declares it"


BUILT_IN = build_catalog(ORDER, FAMILIES)
"""The features of this package."""


def catalog_with(modules: Iterable[ModuleType | str] = ()) -> Catalog:
    """The built-in features, followed by those of a user's modules (imported ones, or their names).

    Raises DeclarationError if they cannot be used, and ImportError if there is no module of a name.
    """
    imported = (import_module(module) if isinstance(module, str) else module for module in modules)
    return BUILT_IN.extended(imported)


def feature_names(
    timeframes: Iterable[str] = DEFAULT_TIMEFRAMES, *, modules: Iterable[ModuleType | str] = ()
) -> list[str]:
    """Names of the features in the order of emission: the built-in ones, then those of modules; see Catalog.names.

    modules: a user's own, imported or by name; see catalog_with.
    """
    return catalog_with(modules).names(timeframes)
