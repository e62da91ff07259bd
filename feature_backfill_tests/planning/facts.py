"""Facts about a synthetic market of 200 hours, without any database."""

import pandas as pd

from feature_backfill.config import FeatureSet
from feature_backfill.engine.bars import HourlyRows
from feature_backfill.engine.fingerprint import window_digests
from feature_backfill.hours import HOUR, hour_range
from feature_backfill.planning.plan import Facts
from feature_backfill.sources.synthetic import synthetic_ohlcv

FIRST, HOURS = pd.Timestamp("2025-01-01"), 200
LAST = FIRST + (HOURS - 1) * HOUR
LOOKBACK = 24
SET = FeatureSet(key="short", base_hours=LOOKBACK, timeframes=("1H", "4H"))
OHLCV = synthetic_ohlcv(FIRST, HOURS, seed=1)
NONE = pd.DatetimeIndex([], dtype="datetime64[us]")


def hour(place: int) -> pd.Timestamp:
    """The hour at a place in the market, 0 being the first."""
    return FIRST + place * HOUR


def span(first: int, last: int) -> pd.DatetimeIndex:
    """The hours from one place to another, both included."""
    return hour_range(hour(first), hour(last))


def without(*places: int) -> pd.DataFrame:
    """The market without some of its hours."""
    return OHLCV.drop(index=list(places))


def facts(
    ohlcv: pd.DataFrame = OHLCV,
    stored: pd.DatetimeIndex = NONE,
    computed_from: pd.DataFrame | None = None,
    settings: str = SET.settings,
    last_closed: pd.Timestamp = LAST,
) -> Facts:
    """computed_from: the OHLCV that the stored rows were computed from, if the project wrote them."""
    inputs = None
    if computed_from is not None:
        digests = window_digests(HourlyRows.of(computed_from), stored, SET.lookback)
        inputs = pd.DataFrame({"digest": digests, "settings": settings}, index=stored)
    return Facts(HourlyRows.of(ohlcv), stored, last_closed, inputs=inputs)
