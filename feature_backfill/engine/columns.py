"""Further hourly columns beside OHLCV, such as taker volume or open interest, and what a bar makes of their hours."""

from dataclasses import dataclass
from typing import Literal, assert_never, get_args

import numpy as np
from numpy.typing import NDArray

BarRule = Literal["last", "sum", "mean", "max", "min"]
"""The value of a bar: that of its last hour, or the sum, the mean, the greatest or the least of its hours."""

IfBad = Literal["skip", "null"]
"""What follows from an hour whose value is absent, not a number, or infinite: the hours that look back on it are
skipped, or the features that read its bar are NaN."""


@dataclass(frozen=True)
class Column:
    """An hourly column of the table that holds the OHLCV.

    name: of the column; bar: how its hours become the value of a bar; if_bad: what follows from an hour without a
    finite value.
    """

    name: str
    bar: BarRule
    if_bad: IfBad

    def __post_init__(self) -> None:
        for value, allowed in ((self.bar, get_args(BarRule)), (self.if_bad, get_args(IfBad))):
            if value not in allowed:
                raise ValueError(f"column {self.name}: {value!r} is not one of {', '.join(allowed)}")

    def __str__(self) -> str:
        return f"{self.name}: {self.bar}, {self.if_bad} if bad"


def over_last_hours(hourly: NDArray[np.float64], rule: BarRule) -> NDArray[np.float64]:
    """The value of bars of which only the last hours count: bars x hours counted, from 1 to all.

    hourly: bars x hours, oldest hour first. NaN where one of the hours counted is NaN.
    """
    newest_first = hourly[:, ::-1]
    match rule:
        case "last":
            return np.broadcast_to(newest_first[:, :1], hourly.shape)
        case "sum":
            return np.cumsum(newest_first, axis=1)
        case "mean":
            return np.cumsum(newest_first, axis=1) / np.arange(1, hourly.shape[1] + 1)
        case "max":
            return np.maximum.accumulate(newest_first, axis=1)
        case "min":
            return np.minimum.accumulate(newest_first, axis=1)
        case _:
            assert_never(rule)
