"""What a report shows of a feature set: read and computed here, drawn elsewhere."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

import dagster as dg
import pandas as pd

from feature_backfill.assets.decisions import plan_of, standing_of
from feature_backfill.config import FeatureSet, Market
from feature_backfill.engine.bars import COLUMNS, HourlyRows
from feature_backfill.errors import UserError, shortened
from feature_backfill.hours import hour_range, utc_now
from feature_backfill.labels import forward_returns
from feature_backfill.planning.standing import Standing
from feature_backfill.reports.candles import Candles, candles_of
from feature_backfill.reports.coverage import Coverage, coverage_of
from feature_backfill.reports.drift import FeatureLine, feature_lines
from feature_backfill.reports.relation import monthly_correlations, strongest_first
from feature_backfill.store.database import connect
from feature_backfill.store.fetched import absent_hours
from feature_backfill.store.reading import read_features

DAYS = 30
PANES = ("close_rsi_14_4H", "close_zscore_20_1H", "close_hv_20_1H", "volume_rvol_20_1H")
"""The features under the candles if none are chosen, as far as the feature set has them."""

MOST_PANES = 12
HORIZON_HOURS = 24
_NAMES_SHOWN = 5

Checked = tuple[str, dg.AssetCheckResult]
"""The name of a check and its result."""


@dataclass(frozen=True)
class Choice:
    """What a reader may choose. days: of candles. panes: features under them, also as patterns; by default PANES."""

    days: int = DAYS
    panes: Sequence[str] = ()


@dataclass(frozen=True)
class Contents:
    """All that a report shows.

    made: when, UTC-naive. candles, coverage, lines, correlations: see their modules. closes: the last of each day, by
    day; NaN where no hour has a row. summaries: of the features that have one, by name. checks: their results now.
    """

    market: Market
    feature_set: FeatureSet
    made: pd.Timestamp
    standing: Standing
    coverage: Coverage
    candles: Candles
    closes: pd.Series
    lines: list[FeatureLine]
    correlations: pd.DataFrame
    summaries: dict[str, str]
    checks: list[Checked]

    @property
    def title(self) -> str:
        """Which market and which key."""
        return f"{self.market.name}, {self.feature_set.key}"


def contents_of(market: Market, feature_set: FeatureSet, choice: Choice, checks: Iterable[Checked]) -> Contents:
    """Read the market's databases, briefly, and compute what a report shows.

    checks: made when they are asked for. Raises UserError if nothing is stored under the key, or no such feature is.
    """
    standing = standing_of(market, feature_set)
    if standing is None:
        raise UserError(
            f"nothing is stored under {feature_set.key} in {market.target}, or {market.source.table} has no "
            f"hour since {market.first_hour}; materialize some hours first"
        )
    hours = hour_range(standing.counts.first, standing.counts.last)
    features = read_features(market.target, feature_set.key, hours[0], hours[-1], dtype="float32")
    panes = _panes(feature_set, list(features.columns), choice)
    plan = plan_of(market, feature_set, hours)
    ohlcv = _frame(plan.rows).loc[hours[0] : hours[-1]]
    shown = hours[-24 * choice.days :]
    returns = forward_returns(ohlcv.rename_axis("timestamp").reset_index(), HORIZON_HOURS)
    return Contents(
        market=market,
        feature_set=feature_set,
        made=utc_now(),
        standing=standing,
        coverage=coverage_of(plan, pd.DatetimeIndex(features.index), _notes(market)),
        candles=candles_of(ohlcv.reindex(shown), features[panes]),
        closes=ohlcv["close"].resample("D").last(),
        lines=feature_lines(features),
        correlations=strongest_first(monthly_correlations(features, returns)),
        summaries=feature_set.catalog.summaries(feature_set.timeframes),
        checks=list(checks),
    )


def _notes(market: Market) -> dict[Hashable, str]:
    """Why OHLCV lacks hours, as far as that is known: the exchange has none, or the YAML says so."""
    with connect(market.source.database, read_only=True) as connection:
        asked = absent_hours(connection, market.source.table)["timestamp"]
    return {
        **dict.fromkeys(asked, "the exchange does not have it"),
        **{hour: f"a known gap: {gap.note}" for gap in market.known_gaps for hour in gap.hours},
    }


def _panes(feature_set: FeatureSet, names: Sequence[str], choice: Choice) -> list[str]:
    """The chosen features, in the order given. Raises UserError if one is not stored, or if they are too many."""
    chosen = [name for pattern in choice.panes for name in _matching(feature_set, names, pattern)]
    if len(set(chosen)) > MOST_PANES:
        raise UserError(f"{len(set(chosen))} features are too many under one chart; choose at most {MOST_PANES}")
    usual = [name for name in PANES if name in names] or list(names[:3])
    return list(dict.fromkeys(chosen)) or usual


def _matching(feature_set: FeatureSet, names: Sequence[str], pattern: str) -> list[str]:
    """The features of a name or of a pattern such as close_rsi_14_*. Raises UserError if there is none."""
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        alike = get_close_matches(pattern, names, _NAMES_SHOWN, 0.5)
        meant = f"did you mean {', '.join(alike)}?" if alike else f"it has {shortened(names, _NAMES_SHOWN)}"
        raise UserError(f"no such feature under the key {feature_set.key}: {pattern}; {meant}")
    return found


def _frame(rows: HourlyRows) -> pd.DataFrame:
    """Hours x (open, high, low, close, volume), NaN in bad rows; further columns are left out."""
    return pd.DataFrame(dict(zip(COLUMNS, rows.values, strict=False)), index=rows.stamps)
