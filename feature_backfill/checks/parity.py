"""Are the stored rows what OHLCV gives? A sample of them, computed once more, most of it by the scalar oracle."""

import math
from dataclasses import dataclass

import dagster as dg
import numpy as np
import pandas as pd

from feature_backfill.checks import oracle
from feature_backfill.checks.findings import Line, listed
from feature_backfill.checks.recomputation import Recomputation
from feature_backfill.checks.rows import stored_rows
from feature_backfill.checks.tolerances import Departure, departures
from feature_backfill.config import FeatureSet, Market
from feature_backfill.errors import shortened
from feature_backfill.store.row_contents import values_at

FEWEST_HOURS, MOST_HOURS = 12, 60
LOOKED_BACK_ON = 60 * 720
"""Hourly rows that the windows of a sample hold together, which bounds its time: about 2 s."""

NAMED = 3
"""So many features that depart the description names."""

NEWEST_SHARE = 3
"""One in so many of the sample is among the newest: the rows that are traded on."""


@dataclass(frozen=True)
class Finding:
    """An hour whose row departs from what OHLCV gives now. reason: why there should be no row, else empty."""

    hour: pd.Timestamp
    reason: str
    departures: list[Departure]

    def line(self) -> Line:
        """The finding as a line of a table."""
        first = self.reason or f"{len(self.departures)} values, {self.departures[0]}"
        return {"hour": str(self.hour), "finding": first}


def sample_size(feature_set: FeatureSet) -> int:
    """How many hours to recompute: the fewer, the longer their windows."""
    return min(MOST_HOURS, max(FEWEST_HOURS, LOOKED_BACK_ON // feature_set.lookback.hours))


def sample(stored: pd.DatetimeIndex, size: int, seed: int) -> pd.DatetimeIndex:
    """The newest of the stored hours and, of the others, a random choice; ascending.

    What is drawn of an hour rests on nothing but the hour and the seed, so that a seed gives much the same sample again
    when rows have been added.
    """
    newest = stored[-max(1, size // NEWEST_SHARE) :]
    others = stored[: -len(newest)]
    drawn = pd.util.hash_array(others.as_unit("us").asi8 ^ seed)
    return others[np.argsort(drawn)[: size - len(newest)]].union(newest)


def parity(market: Market, feature_set: FeatureSet, size: int, seed: int) -> dg.AssetCheckResult:
    """A sample of the stored rows equals, up to rounding, what is computed anew from the OHLCV of today.

    Built-in features by the scalar oracle, those of a user's own by their reference or, if they have none, by
    themselves, each hour alone. A row departs that was changed, that was computed wrongly, or that rests on OHLCV which
    was corrected since; so does one whose window is no longer sound. An error: a wrong row is traded on like a right
    one.
    """
    with stored_rows(market, feature_set) as (connection, stored):
        rows = values_at(connection, feature_set.key, sample(stored, size, seed), feature_set.names)
    again = Recomputation.of(market, feature_set, rows.index[0], rows.index[-1])
    found = (
        _finding(again, hour, dict(zip(rows.columns, row, strict=True)))
        for hour, row in zip(rows.index, rows.to_numpy().tolist(), strict=True)
    )
    findings = [finding for finding in found if finding is not None]
    text = f"{len(rows)} of {len(stored)} rows recomputed, "
    if findings:
        text += (
            f"{len(findings)} depart from what OHLCV gives now, the newest {findings[-1].hour}"
            f"{_first_features(findings)}: if corrections is green, the rows or a feature module were changed"
        )
    return dg.AssetCheckResult(
        passed=not findings,
        severity=dg.AssetCheckSeverity.ERROR,
        description=text if findings else f"{text}all agree",
        metadata={
            "seed": seed,
            "hours_recomputed": len(rows),
            "hours_departing": len(findings),
            "oldest_hour": str(rows.index[0]),
            "newest_hour": str(rows.index[-1]),
            "features_by_way": again.by_way,
            **listed("worst_features", _worst_features(findings)),
            **listed("departing", [finding.line() for finding in reversed(findings)]),
        },
    )


def _finding(again: Recomputation, hour: pd.Timestamp, row: dict[str, float]) -> Finding | None:
    bars = again.bars(hour)
    if isinstance(bars, oracle.Skip):
        return Finding(hour, f"there should be no row: {bars.reason}", [])
    computed = again.values(hour, bars)
    expected = {name: _as_stored(computed[name], value) for name, value in row.items()}
    found = departures(row, expected, bars)
    return Finding(hour, "", found) if found else None


def _as_stored(value: float, stored: float) -> float:
    """The value as the row can say it: strict JSON has null for an infinity too."""
    return math.nan if math.isnan(stored) and not math.isfinite(value) else value


def _first_features(findings: list[Finding]) -> str:
    """The features that depart in most hours, for a sentence."""
    names = [str(line["feature"]) for line in _worst_features(findings)]
    return f", in {shortened(names, NAMED)}" if names else ""


def _worst_features(findings: list[Finding]) -> list[Line]:
    """A line for each feature that departs, those that do in most hours first."""
    found = [departure for finding in findings for departure in finding.departures]
    by_name: dict[str, list[Departure]] = {}
    for departure in found:
        by_name.setdefault(departure.name, []).append(departure)
    worst = sorted(by_name.items(), key=lambda item: -len(item[1]))
    return [{"feature": name, "hours": len(some), "for_example": str(some[-1])} for name, some in worst]
