"""The market on which features are tried, and the same market with some of its rows changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from feature_backfill.engine.bars import COLUMNS, HourlyRows, names_of
from feature_backfill.engine.catalog import Catalog
from feature_backfill.engine.columns import Column
from feature_backfill.engine.compute import compute_rows
from feature_backfill.engine.feature import FeatureGroup
from feature_backfill.engine.lookback import Lookback
from feature_backfill.engine.soundness import skip_reasons
from feature_backfill.errors import UserError
from feature_backfill.sources.synthetic import synthetic_ohlcv

HOURS = 1500
"""Length of the synthetic market beyond the lookback, and the most hours that are taken of a real one."""

FEWEST_TARGETS = 100
PROBES = 24
"""Target hours, spread over all of them, that are looked at one by one: each hour of the day, and all weekdays."""

Hours = tuple[pd.Timestamp, pd.Timestamp]
"""A first and a last hour."""

SYNTHETIC = "the synthetic market"

BAD_EVERY = 331
"""One in so many hours of a synthetic further column has no value, if features are to be null then."""

FIRST_HOUR = pd.Timestamp("2024-01-01")


@dataclass(frozen=True)
class Scene:
    """A market to try features on.

    ohlcv: rows x (timestamp, open, high, low, close, volume and the columns), ascending. targets: the hours to compute,
    ascending; each can be.
    """

    name: str
    ohlcv: pd.DataFrame
    columns: tuple[Column, ...]
    lookback: Lookback
    timeframes: tuple[str, ...]
    targets: pd.DatetimeIndex

    @property
    def probes(self) -> pd.DatetimeIndex:
        """Some of the targets, spread over all but the first and the last; at each hour of the day, if there is one."""
        places = np.linspace(0, len(self.targets) - 1, PROBES + 2).astype(int)[1:-1]
        hours = np.arange(len(places)) * 7 % 24
        found = [
            int(np.argmin(np.abs(np.arange(len(self.targets)) - place) + 48 * (self.targets.hour != hour)))
            for place, hour in zip(places, hours, strict=True)
        ]
        return self.targets[np.unique(found)]

    @property
    def few_probes(self) -> pd.DatetimeIndex:
        """One in three of the probes, for what shows at any of them."""
        return self.probes[::3]

    def values(
        self,
        group: FeatureGroup,
        targets: pd.DatetimeIndex | None = None,
        changed: Hours | None = None,
        timeframes: Sequence[str] | None = None,
        lookback: Lookback | None = None,
    ) -> pd.DataFrame:
        """Hours x the features of one function, which sees the columns that it declares and no other.

        changed: hours whose rows are others than those of the market.
        """
        rows = self._rows(tuple(column for column in self.columns if column.name in group.columns), changed)
        hours = self.targets if targets is None else targets
        catalog = Catalog.of_groups([group])
        return compute_rows(
            rows, hours, lookback or self.lookback, tuple(timeframes or self.timeframes), {}, catalog
        ).features

    def _rows(self, columns: tuple[Column, ...], changed: Hours | None) -> HourlyRows:
        """The rows of the market, checked, with other ones at the hours that are changed."""
        known = self._known_rows
        if (columns, changed) not in known:
            ohlcv = self.ohlcv
            if changed is not None:
                inside = ohlcv["timestamp"].between(*changed).to_numpy()
                ohlcv = pd.concat([ohlcv[~inside], self._other[inside]])
            known[columns, changed] = HourlyRows.of(ohlcv, columns)
        return known[columns, changed]

    @cached_property
    def _known_rows(self) -> dict[tuple[tuple[Column, ...], Hours | None], HourlyRows]:
        return {}

    @cached_property
    def _other(self) -> pd.DataFrame:
        """Other sound rows for every stamp."""
        other = synthetic_ohlcv(FIRST_HOUR, len(self.ohlcv), seed=11)
        further = _random_columns(names_of(self.columns), other, seed=12)
        return other.assign(**further, timestamp=self.ohlcv["timestamp"].to_numpy())[self.ohlcv.columns]


def synthetic_scene(columns: Sequence[Column], lookback: Lookback, timeframes: Sequence[str]) -> Scene:
    """A synthetic market, with random positive values in the further columns."""
    ohlcv = synthetic_ohlcv(FIRST_HOUR, lookback.hours + HOURS, seed=10)
    ohlcv = ohlcv.assign(**_random_columns(names_of(columns), ohlcv, seed=13))
    for column in columns:
        if column.if_bad == "null":
            ohlcv.loc[ohlcv.index % BAD_EVERY == BAD_EVERY // 2, column.name] = np.nan
    return scene_of(SYNTHETIC, ohlcv, columns, lookback, timeframes)


def scene_of(
    name: str, ohlcv: pd.DataFrame, columns: Sequence[Column], lookback: Lookback, timeframes: Sequence[str]
) -> Scene:
    """The newest part of a market. Raises UserError if too few of its hours can be computed."""
    ohlcv = ohlcv[["timestamp", *COLUMNS, *names_of(columns)]].iloc[-(lookback.hours + HOURS) :].reset_index(drop=True)
    scene = Scene(name, ohlcv, tuple(columns), lookback, tuple(timeframes), pd.DatetimeIndex(ohlcv["timestamp"]))
    rows = HourlyRows.of(ohlcv, columns)
    computable = rows.stamps.difference(
        pd.DatetimeIndex(skip_reasons(rows.stamps, rows, lookback, scene.timeframes).index)
    )
    if len(computable) < FEWEST_TARGETS:
        raise UserError(
            f"of {name} only {len(computable)} hours can be computed with a lookback of {lookback.hours} hours, and "
            f"the harness needs {FEWEST_TARGETS}; bring more OHLCV, or lower --base-hours"
        )
    return replace(scene, targets=computable)


def _random_columns(names: Sequence[str], ohlcv: pd.DataFrame, seed: int) -> dict[str, pd.Series]:
    """Positive values of the size of the volume."""
    streams = np.random.default_rng(seed).spawn(len(names))
    return {
        name: ohlcv["volume"] * stream.uniform(0.1, 0.9, len(ohlcv))
        for name, stream in zip(names, streams, strict=True)
    }
