"""Timeframes: bar lengths that divide a day."""

import re
from collections.abc import Iterable

HOURS_PER_BAR = {"1H": 1, "2H": 2, "3H": 3, "4H": 4, "6H": 6, "8H": 8, "12H": 12, "1D": 24}
DEFAULT_TIMEFRAMES = ("1H", "4H", "12H", "1D")


def canonical_timeframe(text: str) -> str:
    """The timeframe's one spelling: "4h" is "4H", "24H" is "1D", "D" is "1D".

    Raises ValueError, naming the allowed ones, for anything that does not divide a day.
    """
    match = re.fullmatch(r"(\d*)([HD])", str(text).strip().upper())
    hours = int(match[1] or 1) * (24 if match[2] == "D" else 1) if match else 0
    for timeframe, length in HOURS_PER_BAR.items():
        if length == hours:
            return timeframe
    raise ValueError(f"timeframe {text!r} does not divide a day; allowed are {', '.join(HOURS_PER_BAR)}")


def canonical_timeframes(timeframes: Iterable[str]) -> tuple[str, ...]:
    """Canonical spellings in the order given; ValueError if there is none or one occurs twice."""
    canonical = tuple(canonical_timeframe(timeframe) for timeframe in timeframes)
    if not canonical:
        raise ValueError("no timeframe given")
    repeated = sorted({timeframe for timeframe in canonical if canonical.count(timeframe) > 1})
    if repeated:
        raise ValueError(f"timeframe given twice: {', '.join(repeated)}")
    return canonical
