"""What a feature is, and how a function declares the features that it computes."""

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_type_hints

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.lookbacks import Lookbacks
from feature_backfill.engine.windows import OhlcvWindows, TooFewBarsError, UndeclaredColumnError, Windows

ALL_BARS = sys.maxsize
"""What a feature reads that takes every bar of the lookback into account, such as an exponential mean."""

FeatureFunction = Callable[[Any], Floats | Sequence[Floats]]
Reference = Callable[[Any], float | Sequence[float]]
ARGUMENTS = (Windows, OhlcvWindows, Lookbacks)


class DeclarationError(ValueError):
    """A declaration of features contradicts another one, or the function that it belongs to."""


@dataclass(frozen=True)
class Feature:
    """A feature of one timeframe.

    name: without the timeframe. min_bars: how many bars a lookback must keep; with fewer the value is NaN. summary: the
    feature in words, on one line. reads: on how many of the newest bars the value depends; min_bars unless given,
    ALL_BARS for the whole lookback.
    """

    name: str
    min_bars: int
    summary: str
    reads: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", self.reads or self.min_bars)


@dataclass(frozen=True, eq=False)
class FeatureGroup:
    """A function and the features that it computes, in the order in which it returns them.

    argument: the type of the function's argument. reach, columns, reference: see `computes`.
    """

    features: tuple[Feature, ...]
    function: FeatureFunction
    argument: type
    reach: int
    columns: tuple[str, ...] = ()
    reference: Reference | None = None

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
        except UndeclaredColumnError as error:
            raise DeclarationError(f"{self.label}: {error}; add it to columns=(...) of its @computes") from error
        columns = tuple(values) if isinstance(values, tuple | list) else (values,)
        if len(columns) != len(self.features):
            names = ", ".join(feature.name for feature in self.features)
            raise DeclarationError(
                f"{self.label} declares {len(self.features)} features ({names}) and returns {len(columns)} columns"
            )
        for feature, column in zip(self.features, columns, strict=True):
            if not isinstance(column, np.ndarray) or column.dtype.kind not in "fiub":
                what = f"{column.dtype} array" if isinstance(column, np.ndarray) else type(column).__name__
                raise DeclarationError(
                    f"{self.label} returns a {what} as {feature.name}; return a numpy array of real numbers"
                )
            if np.shape(column) != (len(lookbacks),):
                raise DeclarationError(
                    f"{self.label} returns an array of shape {np.shape(column)} as {feature.name}; "
                    f"it must hold one value for each of {len(lookbacks)} lookbacks{self._hint}"
                )
        return columns

    def at_hours(self, lookbacks: Lookbacks) -> Iterable[Floats]:
        """One column a feature, one value a target hour; NaN where one of the bars that it reads lacks a column."""
        lookbacks.windows.declared = self.columns
        values = self(lookbacks) if self.argument is Lookbacks else map(lookbacks.at_hours, self(lookbacks.windows))
        return map(partial(self._without_lacking, lookbacks), self.features, values) if self.columns else values

    def _without_lacking(self, lookbacks: Lookbacks, feature: Feature, values: Floats) -> Floats:
        lacking = np.logical_or.reduce([lookbacks.lacks(column, feature.reads) for column in self.columns])
        return np.where(lacking, np.nan, values)

    @property
    def _hint(self) -> str:
        return ", which at_hours() makes of one for each window" if self.argument is Lookbacks else ""

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


def computes(
    *features: Feature, reach: int | None = None, columns: Sequence[str] = (), reference: Reference | None = None
) -> Callable[[FeatureFunction], FeatureGroup]:
    """Declare the features that a function computes, in the order in which it returns them.

    The oldest bar of a lookback may be partial: its close is right, but its open, high, low and volume cover only the
    hours within the lookback, so they differ between target hours that share all other bars. The type of the function's
    argument says what the function reads of that bar:

    Windows: the close only.
    OhlcvWindows: open, high, low, volume or further columns too, in lookbacks of up to `reach` bars.
    Lookbacks: open, high, low, volume or further columns too, in lookbacks of any length.

    reach: of how many of the newest bars an OhlcvWindows function reads open, high, low, volume or further columns; the
    most that a feature reads unless given. 0 is for a function that reads them of every bar but the oldest.
    columns: the further hourly columns of the OHLCV table that the function reads, by name. A feature is NaN where one
    of the bars that it reads lacks one of them.
    reference: the same features computed once more, from the `Bars` of one lookback as plain floats, to check the
    function against: one number, or one for each feature.
    Raises DeclarationError for an argument of another type, for a reach that makes no sense, and for columns that the
    function cannot see.
    """

    def declare(function: FeatureFunction) -> FeatureGroup:
        argument = _argument(function)
        where = f"{function.__module__}.{function.__name__}"
        if reach is not None and (reach < 0 or argument is Windows):
            why = "Windows hold closes alone" if argument is Windows else "it must be 0 or more"
            raise DeclarationError(f"{where} declares reach={reach}: {why}")
        if columns and argument is Windows:
            raise DeclarationError(f"{where} declares columns: Windows hold closes alone; take OhlcvWindows")
        reached = _default_reach(features, argument) if reach is None else reach
        return FeatureGroup(features, function, argument, reached, tuple(columns), reference)

    return declare


def _default_reach(features: Sequence[Feature], argument: type) -> int:
    """How many bars windows must hold as each target hour has them: Lookbacks look at the oldest one themselves."""
    if argument is Windows:
        return 0
    read = (feature.reads if argument is OhlcvWindows else feature.min_bars for feature in features)
    return max(read, default=0)


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
