"""The one decision about each hour: is it open, absent, kept, skipped, or computed?"""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import numpy as np
import pandas as pd

from feature_backfill.config import FeatureSet
from feature_backfill.engine.bars import Booleans, HourlyRows
from feature_backfill.engine.fingerprint import window_digests
from feature_backfill.engine.soundness import SkipKind, skip_reasons


class Keep(StrEnum):
    """Which stored rows a run leaves as they are.

    ALL: every stored row. CURRENT: those whose OHLCV has not been corrected since. NONE: no row, all are replaced.
    """

    ALL = "all"
    CURRENT = "current"
    NONE = "none"


@dataclass(frozen=True)
class Facts:
    """What a plan rests on.

    rows: the hourly rows from the lookback of the first hour asked for to the last closed hour. What comes after the
    hours asked for tells from when on skipped hours can be computed again.
    stored: the hours that have a row under the feature key, ascending.
    last_closed: the newest hour whose bar has closed.
    row_before: the newest hour before the rows that OHLCV has a row for. None: OHLCV begins with the rows.
    inputs: what the stored rows were computed from, hours x (digest, settings), of those that the project wrote. A plan
    that keeps the current rows needs it; others then know which of the rows that they keep are stale.
    """

    rows: HourlyRows
    stored: pd.DatetimeIndex
    last_closed: pd.Timestamp
    row_before: pd.Timestamp | None = None
    inputs: pd.DataFrame | None = None


@dataclass(frozen=True)
class Plan:
    """What becomes of the hours asked for. Each is in exactly one of the first four, all ascending.

    open: not closed yet. kept: stored, and left as they are. impossible: closed hours that cannot be computed, with
    their SkipReason. compute: the rest.
    stale: the stored hours that OHLCV no longer bears out, whatever becomes of them, as far as the facts tell.
    rows: the hourly rows that the plan rests on. digests: of each hour to compute, the digest of its lookback.
    kept_digests: of the kept hours, the digest of the lookback that they were computed from, where it is known.
    """

    open: pd.DatetimeIndex
    kept: pd.DatetimeIndex
    impossible: pd.Series
    compute: pd.DatetimeIndex
    stale: pd.DatetimeIndex
    rows: HourlyRows
    digests: pd.Series
    kept_digests: pd.Series

    @cached_property
    def absent(self) -> pd.DatetimeIndex:
        """The closed hours that OHLCV has no row of, ascending."""
        return pd.DatetimeIndex(self.impossible.index[self._is_absent])

    @cached_property
    def skipped(self) -> pd.Series:
        """The SkipReason of every hour that OHLCV has a row of and that cannot be computed, ascending."""
        return self.impossible[~self._is_absent]

    @cached_property
    def _is_absent(self) -> Booleans:
        return np.array([reason.kind is SkipKind.ABSENT for reason in self.impossible], dtype=bool)

    @property
    def ends(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """The first and the last hour asked for."""
        hours = self.present.union(self.absent).union(self.open)
        return hours[0], hours[-1]

    @property
    def present(self) -> pd.DatetimeIndex:
        """The closed hours that OHLCV has, ascending."""
        return self.kept.union(self.not_kept)

    @property
    def not_kept(self) -> pd.DatetimeIndex:
        """Those of the present hours that are not kept, whether they can be computed or not."""
        return self.compute.union(pd.DatetimeIndex(self.skipped.index))

    def at_most(self, count: int) -> "Plan":
        """The plan without the hours after the count-th hour to compute; the whole plan if count is 0 or less."""
        return self.until(self.compute[count - 1]) if 0 < count < len(self.compute) else self

    def until(self, last: pd.Timestamp) -> "Plan":
        """The plan without the hours after an hour."""
        return replace(
            self,
            open=self.open[self.open <= last],
            kept=self.kept[self.kept <= last],
            impossible=self.impossible[self.impossible.index <= last],
            compute=self.compute[self.compute <= last],
            stale=self.stale[self.stale <= last],
            digests=self.digests[self.digests.index <= last],
            kept_digests=self.kept_digests[self.kept_digests.index <= last],
        )


def plan_hours(feature_set: FeatureSet, hours: pd.DatetimeIndex, facts: Facts, keep: Keep = Keep.ALL) -> Plan:
    """Decide what becomes of hours (UTC-naive, distinct, ascending)."""
    lookback, timeframes, rows = feature_set.lookback, feature_set.timeframes, facts.rows
    closed = hours[hours <= facts.last_closed]
    present = closed[closed.isin(rows.stamps)]
    stored = closed[closed.isin(facts.stored)]
    stale = stored[:0] if facts.inputs is None else _stale_hours(feature_set, stored, facts.inputs, rows)
    kept = present[:0] if keep is Keep.NONE else present.intersection(stored)
    kept = kept.difference(stale) if keep is Keep.CURRENT else kept
    wanted = closed.difference(kept)
    impossible = skip_reasons(wanted, rows, lookback, timeframes, facts.row_before)
    compute = wanted.difference(pd.DatetimeIndex(impossible.index))
    return Plan(
        open=hours.difference(closed),
        kept=kept,
        impossible=impossible,
        compute=compute,
        stale=stale,
        rows=rows,
        digests=pd.Series(window_digests(rows, compute, lookback), index=compute),
        kept_digests=_digests_of(kept, facts.inputs),
    )


def _digests_of(hours: pd.DatetimeIndex, inputs: pd.DataFrame | None) -> pd.Series:
    """The digests that were stored with the rows of hours."""
    if inputs is None:
        return pd.Series([], index=hours[:0], dtype="uint64")
    return inputs.loc[inputs.index.isin(hours), "digest"]


def _stale_hours(
    feature_set: FeatureSet, stored: pd.DatetimeIndex, inputs: pd.DataFrame, rows: HourlyRows
) -> pd.DatetimeIndex:
    """The stored hours whose lookback has another digest than their row was computed from, or is no longer sound.

    Only rows that were computed under the settings of the feature set can be judged.
    """
    comparable = inputs[inputs.index.isin(stored) & (inputs["settings"] == feature_set.settings)]
    hours = pd.DatetimeIndex(comparable.index)
    changed = comparable["digest"].to_numpy() != window_digests(rows, hours, feature_set.lookback)
    unsound = skip_reasons(hours, rows, feature_set.lookback, feature_set.timeframes).index
    return hours[changed | hours.isin(unsound)]
