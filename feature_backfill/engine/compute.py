"""compute_features(): target hours in, matrix of features and skip reasons out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from types import ModuleType

import numpy as np
import pandas as pd

from feature_backfill.engine.bars import (
    COLUMNS,
    Bars,
    Floats,
    HourlyRows,
    Integers,
    bars_of_grid,
    epoch_hours,
    grid_bounds,
    names_of,
    normalized_ohlcv,
)
from feature_backfill.engine.catalog import BUILT_IN, Catalog, Section, catalog_with
from feature_backfill.engine.columns import Column
from feature_backfill.engine.feature import DeclarationError, FeatureGroup
from feature_backfill.engine.lookback import Lookback
from feature_backfill.engine.lookbacks import Lookbacks, lookbacks_of
from feature_backfill.engine.soundness import SkipKind, SkipReason, skip_reasons
from feature_backfill.engine.timeframes import (
    DEFAULT_TIMEFRAMES,
    HOURS_PER_BAR,
    canonical_timeframe,
    canonical_timeframes,
)
from feature_backfill.hours import to_utc

CHUNK_HOURS = 24 * 1024
"""Hours of market time computed at once: enough to spread the cost of a numpy call, few enough to bound memory."""

BARS_APART = 1 << 19
"""Bars of lookbacks laid end to end at once, which bounds memory."""


@dataclass(frozen=True)
class FeatureResult:
    """What was computed and what was not.

    features: hours x names, float64; the index "ts" holds UTC-naive hours, ascending. skipped: reasons by skipped hour.
    """

    features: pd.DataFrame
    skipped: pd.Series


def compute_features(
    ohlcv: pd.DataFrame,
    targets: Iterable[object],
    base_hours: int = 720,
    buffer_hours: int = 0,
    timeframes: Iterable[str] = DEFAULT_TIMEFRAMES,
    bars: Mapping[str, pd.DataFrame] | None = None,
    *,
    modules: Iterable[ModuleType | str] = (),
    columns: Sequence[Column] = (),
) -> FeatureResult:
    """Compute every feature of every timeframe for many target hours.

    ohlcv: columns timestamp, open, high, low, close, volume; stamps UTC-naive or with a zone; rows in any order.
    targets: timestamps; duplicates count once.
    base_hours: hours a target looks back, its own included.
    buffer_hours: hours before them that complete the oldest bar.
    timeframes: of 1H 2H 3H 4H 6H 8H 12H 1D, in order of emission.
    bars: complete bars by timeframe (columns as ohlcv, timestamp the bar's last hour); those of a timeframe that is not
        given are built from ohlcv.
    modules: of a user's own features, imported or by name; they follow the built-in ones.
    columns: the further columns of ohlcv that these features read.
    A target whose window lacks an hour, holds a bad row or gives no bar is skipped with its reason.
    Raises ValueError for stamps, columns or timeframes that make no sense, and as catalog_with does.
    """
    given = {canonical_timeframe(timeframe): normalized_ohlcv(frame) for timeframe, frame in (bars or {}).items()}
    hours = to_utc(targets).unique().sort_values()
    lookback = Lookback(base_hours, buffer_hours)
    rows = HourlyRows.of(ohlcv, columns)
    result = compute_rows(rows, hours, lookback, canonical_timeframes(timeframes), given, catalog_with(modules))
    return FeatureResult(result.features, result.skipped.map(str))


def compute_rows(
    rows: HourlyRows,
    hours: pd.DatetimeIndex,
    lookback: Lookback,
    timeframes: tuple[str, ...],
    bars: Mapping[str, pd.DataFrame],
    catalog: Catalog = BUILT_IN,
) -> FeatureResult:
    """Compute what compute_features does, from arguments in the engine's own types.

    hours: UTC-naive, distinct, ascending. timeframes: canonical. bars: complete bars by canonical timeframe, in time
    order. The skip reasons are SkipReason objects.
    Raises DeclarationError if a function reads a column that the rows do not have, or breaks its declaration.
    """
    lacking = [name for name in catalog.columns if name not in names_of(rows.columns)]
    if lacking:
        raise DeclarationError(f"features read the column {', '.join(lacking)}; say in columns what it is")
    names = catalog.names(timeframes)
    skipped = pd.concat(
        [skip_reasons(hours, rows, lookback, timeframes), _lacking_bars(hours, lookback, bars, timeframes)]
    )
    skipped = skipped[~skipped.index.duplicated()].sort_index()
    computed = hours[~hours.isin(skipped.index)]
    matrix = np.empty((len(names), len(computed)))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for part in _chunks(epoch_hours(computed), lookback):
            _fill(matrix[:, part], epoch_hours(computed[part]), rows, lookback, timeframes, bars, catalog)
    features = pd.DataFrame(matrix.T, index=computed.rename("ts"), columns=names, copy=False)
    return FeatureResult(features, skipped)


def _lacking_bars(
    targets: pd.DatetimeIndex, lookback: Lookback, given: Mapping[str, pd.DataFrame], timeframes: tuple[str, ...]
) -> pd.Series:
    """Reasons for targets that need a bar of a given timeframe which is not among those given."""
    reasons = pd.Series(index=targets.rename("ts"), name="reason", dtype=object)
    hours = epoch_hours(targets)
    for timeframe in (timeframe for timeframe in timeframes if timeframe in given):
        length = HOURS_PER_BAR[timeframe]
        labels = epoch_hours(pd.DatetimeIndex(given[timeframe]["timestamp"])) // length
        newest = hours // length
        complete = lookback.bars(length) - (lookback.missing_from_oldest_bar(hours, length) > 0)
        found = np.searchsorted(labels, newest, side="right") - np.searchsorted(labels, newest - complete, side="right")
        reasons[found < complete] = SkipReason(
            SkipKind.MISSING_BARS, f"{timeframe} bars given do not cover the lookback"
        )
    return reasons[reasons.notna()]


def _chunks(hours: Integers, lookback: Lookback) -> Iterator[slice]:
    """Slices of ascending hours, each within CHUNK_HOURS of market time and without a hole longer than the lookback."""
    start = 0
    while start < len(hours):
        end = int(np.searchsorted(hours, hours[start] + CHUNK_HOURS))
        holes = np.flatnonzero(np.diff(hours[start:end]) > lookback.hours)
        end = start + int(holes[0]) + 1 if len(holes) else end
        yield slice(start, end)
        start = end


def _fill(
    matrix: Floats,
    targets: Integers,
    rows: HourlyRows,
    lookback: Lookback,
    timeframes: tuple[str, ...],
    given: Mapping[str, pd.DataFrame],
    catalog: Catalog,
) -> None:
    """Fill names x targets for targets near each other."""
    first_hour, count = grid_bounds(int(lookback.first_hours(targets[0])), int(targets[-1]))
    grid = rows.on_grid(first_hour, count)
    blocks = _blocks(matrix, catalog, len(timeframes))
    for timeframe, *of_sections in zip(timeframes, *blocks, strict=True):
        bars = bars_of_grid(grid, first_hour, HOURS_PER_BAR[timeframe], rows.columns)
        if timeframe in given:
            _overwrite(bars, given[timeframe])
        lookbacks = lookbacks_of(targets, lookback, bars, grid, first_hour, rows.columns)
        for section, block in zip(catalog.sections, of_sections, strict=True):
            _fill_timeframe(block, lookbacks, section)


def _blocks(matrix: Floats, catalog: Catalog, timeframes: int) -> list[list[Floats]]:
    """The rows of a matrix of names x targets, as views, by section and by timeframe."""
    ends = np.cumsum([len(section.features) * timeframes for section in catalog.sections])
    return [np.split(rows, timeframes) for rows in np.split(matrix, ends[:-1])]


def _overwrite(bars: Bars, given: pd.DataFrame) -> None:
    """Put given bars in the place of those built."""
    position = bars.position(epoch_hours(pd.DatetimeIndex(given["timestamp"])))
    inside = (position >= 0) & (position < len(bars))
    for column in COLUMNS:
        getattr(bars.values, column)[position[inside]] = given[column].to_numpy()[inside]


def _fill_timeframe(block: Floats, lookbacks: Lookbacks, section: Section) -> None:
    """Fill features x targets of one timeframe.

    A function that reads a partial oldest bar through windows is given them laid apart; the others share theirs.
    """
    bars = lookbacks.windows.bars
    apart = [group for group in section.groups if lookbacks.has_partial_bars and group.needs_own_bars(bars)]
    _fill_features(block, lookbacks, section, [group for group in section.groups if group not in apart])
    if apart:
        size = max(1, BARS_APART // bars)
        for part in (slice(start, start + size) for start in range(0, len(lookbacks), size)):
            _fill_features(block[:, part], lookbacks.laid_apart(part), section, apart)


def _fill_features(block: Floats, lookbacks: Lookbacks, section: Section, groups: Iterable[FeatureGroup]) -> None:
    """Fill the rows of the groups' features; NaN for a feature that needs more bars than a lookback keeps."""
    bars = lookbacks.windows.bars
    for group in groups:
        columns: Iterable[Floats | float] = group.at_hours(lookbacks) if group.min_bars <= bars else repeat(np.nan)
        for feature, column in zip(group.features, columns, strict=False):
            block[section.position[feature.name]] = column if feature.min_bars <= bars else np.nan
