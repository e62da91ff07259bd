"""An exchange: history from its archive of files, the rest from its API, and the last hours asked for again each time.

The database is opened for moments only: never while the network is waited for.
"""

import time
from collections.abc import Iterator

import pandas as pd

from feature_backfill.config import ExchangeSource, Market
from feature_backfill.engine.bars import row_faults
from feature_backfill.errors import RunError, UserError, shortened
from feature_backfill.hours import HOUR, hour_range, last_closed_hour
from feature_backfill.sources.archive import Archive, archive_of
from feature_backfill.sources.exchange_api import ExchangeApi
from feature_backfill.sources.history import month_of_history
from feature_backfill.sources.source import NO_HOURS, Brought, Progress
from feature_backfill.store.database import connect
from feature_backfill.store.fetched import absent_hours, note_absent, store_fetched
from feature_backfill.store.ohlcv import ohlcv_hours
from feature_backfill.store.schema import has_table

POLL_EVERY_S = 2.0
"""Seconds between two looks for an awaited hour."""

AWAITED_S = 120.0
"""How long an hour is awaited. After that, whatever is there is fetched, and the next fetch asks again."""

STORED_AT_ONCE = 5000
"""So many rows of the API are stored at once: opening the database takes longer than a request."""

SHOWN = 3
"""How many bad candles or files a warning names."""


class Exchange:
    """The source of a market whose YAML names an exchange."""

    def __init__(self, settings: ExchangeSource) -> None:
        self._settings = settings

    def bring(
        self,
        market: Market,
        since: pd.Timestamp | None,
        awaited: pd.Timestamp | None,
        brought: Brought,
        progress: Progress,
    ) -> None:
        """Fetch the closed hours that the table lacks, and those of the last hours that have changed."""
        api = ExchangeApi(self._settings)
        if awaited is not None:
            _wait_for(api, awaited)
        archive = archive_of(self._settings, api.market)
        table = _Table(self._settings, market.first_hour if since is None else since, again=since is not None)
        now = api.now()
        lacking = table.lacking(last_closed_hour(now))
        if archive is not None and len(lacking) > api.page_hours:
            _fill_from_archive(table, archive, api, lacking, now, brought, progress)
            now = api.now()
            lacking = table.lacking(last_closed_hour(now))
        _fill_from_api(table, api, lacking, now, brought, progress)


def _wait_for(api: ExchangeApi, hour: pd.Timestamp) -> None:
    """Wait until the hour has closed by the exchange's time and its candle is there; not longer than AWAITED_S."""
    deadline = time.monotonic() + AWAITED_S
    while time.monotonic() < deadline:
        opens_next = hour + HOUR - api.now()
        if opens_next > pd.Timedelta(0):
            time.sleep(min(opens_next.total_seconds(), POLL_EVERY_S))
        elif len(api.page(hour, hour)):
            return
        else:
            time.sleep(POLL_EVERY_S)


class _Table:
    """The market's table from an hour on. again: ask for hours once more that are absent for good."""

    def __init__(self, settings: ExchangeSource, first: pd.Timestamp, again: bool) -> None:
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


def _fill_from_archive(
    table: _Table,
    archive: Archive,
    api: ExchangeApi,
    lacking: pd.DatetimeIndex,
    now: pd.Timestamp,
    brought: Brought,
    progress: Progress,
) -> None:
    """Store what the archive has, month by month. Whatever is wrong with it is a warning: the API has the hours too."""

    def ask(hours: pd.DatetimeIndex) -> pd.DataFrame:
        return pd.concat([rows for rows, _ in _pages(api, hours)])

    finished = lacking[lacking < now.normalize()]
    months = finished.to_period("M").unique()
    warned: dict[str, list[str]] = {}
    for done, month in enumerate(months):
        progress("archive, months", done, len(months))
        wanted = finished[finished.to_period("M") == month]
        try:
            rows, warnings = month_of_history(archive, wanted, now, ask)
        except (RunError, UserError) as error:
            brought.warnings.append(f"the archive is left out: {error}")
            break
        for reason, files in warnings.items():
            warned.setdefault(reason, []).extend(files)
        if len(rows):
            table.store("archive", rows, now, brought)
    progress("archive, months", len(months), len(months))
    brought.warnings += [f"archive: {reason}: {shortened(files, SHOWN)}" for reason, files in warned.items()]


def _fill_from_api(
    table: _Table, api: ExchangeApi, lacking: pd.DatetimeIndex, now: pd.Timestamp, brought: Brought, progress: Progress
) -> None:
    asked = lacking.union(table.recent(last_closed_hour(now)))
    found = NO_HOURS
    pages: list[pd.DataFrame] = []
    done = 0
    try:
        for rows, hours in _pages(api, asked):
            pages.append(rows)
            done += len(hours)
            progress("API, hours", done, len(asked))
            if sum(map(len, pages)) >= STORED_AT_ONCE:
                found = found.union(table.store("API", pd.concat(pages, ignore_index=True), now, brought))
                pages.clear()
    finally:
        if pages:
            found = found.union(table.store("API", pd.concat(pages, ignore_index=True), now, brought))
    table.note_absent(lacking.difference(found), now, brought)


def _pages(api: ExchangeApi, hours: pd.DatetimeIndex) -> Iterator[tuple[pd.DataFrame, pd.DatetimeIndex]]:
    """Ask for hours, ascending, page by page: the rows of each page, and the hours that are done with it.

    A page that ends early is followed by one that begins an hour after its last row. Nothing is concluded from the
    number of its rows.
    """
    while len(hours):
        first = hours[0]
        last = hours[hours < first + api.page_hours * HOUR][-1]
        rows = api.page(first, last)
        covered = rows["timestamp"].iloc[-1] if len(rows) else last
        yield rows[rows["timestamp"].isin(hours)].reset_index(drop=True), hours[hours <= covered]
        hours = hours[hours > covered]
