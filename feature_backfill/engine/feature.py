"""What a feature is, and how a family's file declares one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from feature_backfill.engine.bars import Floats


@dataclass(frozen=True)
class Feature:
    """One line of the catalogue.

    position: place in the order of emission, from 1; name: without the timeframe; bars: bars a lookback needs, below
    which the value is NaN; summary: the formula in words; family: the file that computes it.
    """

    position: int
    name: str
    bars: int
    summary: str
    family: str = ""


@dataclass(frozen=True)
class FeatureGroup:
    """Features that one function computes together, in the order in which it returns them.

    per_lookback: False for a function of Windows, one value a bar; True for a function of Lookbacks, one value a target
    hour, which a feature needs as soon as it reads open, high, low or volume of the oldest bar.
    """

    features: tuple[Feature, ...]
    function: Callable[[Any], Floats | Sequence[Floats]]
    per_lookback: bool


Function = TypeVar("Function", bound=Callable[[Any], Any])
GROUPS: list[FeatureGroup] = []


def computes(*features: Feature, per_lookback: bool = False) -> Callable[[Function], Function]:
    """Declare which features a function computes."""

    def declare(function: Function) -> Function:
        family = function.__module__.rpartition(".")[2]
        named = tuple(Feature(f.position, f.name, f.bars, f.summary, family) for f in features)
        GROUPS.append(FeatureGroup(named, function, per_lookback))
        return function

    return declare
