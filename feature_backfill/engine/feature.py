"""What a feature is, and how a function declares the features that it computes."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.lookbacks import Lookbacks
from feature_backfill.engine.windows import OhlcvWindows, TooFewBarsError, Windows

FeatureFunction = Callable[[Any], Floats | Sequence[Floats]]
ARGUMENTS = (Windows, OhlcvWindows, Lookbacks)


class DeclarationError(ValueError):
    """A declaration of features contradicts another one, or the function that it belongs to."""


@dataclass(frozen=True)
class Feature:
    """A feature of one timeframe.

    name: without the timeframe. min_bars: how many bars a lookback must keep; with fewer the value is NaN. summary: the
    feature in words, on one line.
    """

    name: str
    min_bars: int
    summary: str


@dataclass(frozen=True, eq=False)
class FeatureGroup:
    """A function and the features that it computes, in the order in which it returns them.

    argument: the type of the function's argument. reach: see `computes`.
    """

    features: tuple[Feature, ...]
    function: FeatureFunction
    argument: type
    reach: int

    def __call__(self, lookbacks: Any) -> tuple[Floats, ...]:
        """One column a feature, given what the function takes.

        Raises DeclarationError if the function returns something else, or reads more bars than a lookback keeps.
        """
        try:
            values = self.function(lookbacks)
        except TooFewBarsError as error:
            raise DeclarationError(
                f"{self.label}: {error}; raise min_bars, or give the features that need fewer bars their own function"
            ) from error
        columns = tuple(values) if isinstance(values, tuple | list) else (values,)
        if len(columns) != len(self.features):
            names = ", ".join(feature.name for feature in self.features)
            raise DeclarationError(
                f"{self.label} declares {len(self.features)} features ({names}) and returns {len(columns)} columns"
            )
        for feature, column in zip(self.features, columns, strict=True):
            if np.shape(column) != (len(lookbacks),):
                raise DeclarationError(
                    f"{self.label} returns an array of shape {np.shape(column)} as {feature.name}; "
                    f"it must hold one value for each of {len(lookbacks)} lookbacks"
                )
        return columns

    def at_hours(self, lookbacks: Lookbacks) -> Iterable[Floats]:
        """One column a feature, one value a target hour."""
        return self(lookbacks) if self.argument is Lookbacks else map(lookbacks.at_hours, self(lookbacks.windows))

    @property
    def label(self) -> str:
        """Where the features are declared: the last part of the module's name, and the function's."""
        return f"{self.function.__module__.rpartition('.')[2]}.{self.function.__name__}"

    @property
    def formula(self) -> str:
        """The function's docstring."""
        return inspect.getdoc(self.function) or ""

    @property
    def min_bars(self) -> int:
        """The fewest bars with which one of the features has a value."""
        return min(feature.min_bars for feature in self.features)

    def needs_own_bars(self, bars: int) -> bool:
        """Whether, in lookbacks of so many bars, windows must hold each target hour's own oldest bar."""
        return self.min_bars <= bars <= self.reach

    def reads_oldest_bar(self, bars: int) -> bool:
        """Whether, in lookbacks of so many bars, the function reads open, high, low or volume of the oldest."""
        return self.min_bars <= bars and (self.argument is Lookbacks or bars <= self.reach)


def computes(*features: Feature, reach: int | None = None) -> Callable[[FeatureFunction], FeatureGroup]:
    """Declare the features that a function computes, in the order in which it returns them.

    The oldest bar of a lookback may be partial: its close is right, but its open, high, low and volume cover only the
    hours within the lookback, so they differ between target hours that share all other bars. The type of the function's
    argument says what the function reads of that bar:

    Windows: the close only.
    OhlcvWindows: open, high, low or volume too, in lookbacks of up to `reach` bars.
    Lookbacks: open, high, low or volume too, in lookbacks of any length.

    reach: of how many of the newest bars an OhlcvWindows function reads open, high, low or volume; min_bars unless
    given. 0 is for a function that reads them of every bar but the oldest.
    Raises DeclarationError for an argument of another type and for a reach that makes no sense.
    """

    def declare(function: FeatureFunction) -> FeatureGroup:
        argument = _argument(function)
        if reach is not None and (reach < 0 or argument is Windows):
            why = "Windows hold closes alone" if argument is Windows else "it must be 0 or more"
            raise DeclarationError(f"{function.__module__}.{function.__name__} declares reach={reach}: {why}")
        default = 0 if argument is Windows else max((feature.min_bars for feature in features), default=0)
        return FeatureGroup(features, function, argument, default if reach is None else reach)

    return declare


def _argument(function: FeatureFunction) -> type:
    """The type of a function's only argument."""
    parameters = list(inspect.signature(function).parameters)
    argument = get_type_hints(function).get(parameters[0]) if len(parameters) == 1 else None
    if argument not in ARGUMENTS:
        raise DeclarationError(
            f"{function.__module__}.{function.__name__} must take one argument, annotated as "
            f"{', '.join(kind.__name__ for kind in ARGUMENTS[:-1])} or {ARGUMENTS[-1].__name__}"
        )
    return argument
