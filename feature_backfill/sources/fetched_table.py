"""The OHLCV table that an exchange fills: what it lacks, and what is stored. It is opened for moments only."""

import pandas as pd

from feature_backfill.config import ExchangeSource
from feature_backfill.engine.bars import row_faults
from feature_backfill.errors import shortened
from feature_backfill.hours import HOUR, hour_range
from feature_backfill.sources.source import NO_HOURS, Brought
from feature_backfill.store.database import connect
from feature_backfill.store.fetched import absent_hours, note_absent, store_fetched
from feature_backfill.store.ohlcv import ohlcv_hours
from feature_backfill.store.schema import has_table

SHOWN = 3
"""How many bad candles a warning names."""


class FetchedTable:
    """The table that an exchange fills, from an hour on."""

    def __init__(self, settings: ExchangeSource, first: pd.Timestamp, again: bool) -> None:
        """first: UTC-naive. again: ask once more for hours that are absent for good."""
        self._database, self._name = settings.database, settings.table
        self._refetch_hours, self._first, self._again = settings.refetch_hours, first, again

    def lacking(self, last: pd.Timestamp) -> pd.DatetimeIndex:
        """The hours up to `last` that are to be asked for because they are not stored, ascending."""
        hours = hour_range(self._first, last)
        if not self._database.exists():
            return hours
        with connect(self._database, read_only=True) as connection:
            if not has_table(connection, self._name):
                return hours
            stored = ohlcv_hours(connection, self._name, self._first, last)
            absent = absent_hours(connection, self._name)
        given_up = NO_HOURS if self._again else pd.DatetimeIndex(absent.loc[absent["for_good"], "timestamp"])
        return hours.difference(stored).difference(given_up)

    def recent(self, last: pd.Timestamp) -> pd.DatetimeIndex:
        """The hours up to `last` that are asked for whether they are stored or not, ascending."""
        return hour_range(max(self._first, last - (self._refetch_hours - 1) * HOUR), last)

    def store(self, origin: str, rows: pd.DataFrame, seen: pd.Timestamp, brought: Brought) -> pd.DatetimeIndex:
        """Store the sound rows, and say what is wrong with the others. Returns the hours of the sound ones."""
        faults = row_faults(rows)
        if faults.notna().any():
            hours = pd.DatetimeIndex(rows.loc[faults.notna(), "timestamp"])
            bad = [f"{hour:%Y-%m-%d %H:%M} {fault}" for hour, fault in zip(hours, faults.dropna(), strict=True)]
            brought.warnings.append(f"bad candles, not stored: {shortened(bad, SHOWN)}")
        sound = rows[faults.isna()].drop_duplicates()
        if len(sound):
            with connect(self._database, read_only=False) as connection:
                stored = store_fetched(connection, self._name, sound, seen)
            changed = stored.new.union(stored.restated)
            brought.add(origin, len(stored.new), len(stored.restated), stored.same, changed)
            brought.restated = brought.restated.union(stored.restated)
            brought.seen = seen
        return pd.DatetimeIndex(sound["timestamp"])

    def note_absent(self, hours: pd.DatetimeIndex, asked: pd.Timestamp, brought: Brought) -> None:
        """Remember the hours that the exchange does not have."""
        if hours.empty:
            return
        with connect(self._database, read_only=False) as connection:
            note_absent(connection, self._name, hours, asked)
            known = absent_hours(connection, self._name)
        brought.absent = brought.absent.union(hours)
        brought.for_good = pd.DatetimeIndex(known.loc[known["for_good"], "timestamp"])
