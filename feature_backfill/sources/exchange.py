"""An exchange: history from its archive of files, the rest from its API, the last hours asked for again each time."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from feature_backfill.config import ExchangeSource, Market
from feature_backfill.errors import RunError, UserError, shortened
from feature_backfill.hours import HOUR, last_closed_hour
from feature_backfill.sources.archive import Archive, archive_of
from feature_backfill.sources.exchange_api import ExchangeApi
from feature_backfill.sources.fetched_table import FetchedTable
from feature_backfill.sources.history import month_of_history
from feature_backfill.sources.source import NO_HOURS, Brought, Progress

POLL_EVERY_S = 2.0
"""Seconds between two looks for an awaited hour."""

AWAITED_S = 60.0
"""How long an hour is awaited after it has closed. Then whatever is there is fetched, and the next fetch asks again."""

CLOSES_IN_S = 900.0
"""An hour that closes later than this by the exchange's time is not awaited: somebody's clock is wrong."""

STORED_AT_ONCE = 5000
"""So many rows of the API are stored at once: opening the database takes longer than a request."""

SHOWN = 3
"""How many files a warning names."""


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
        first = market.first_hour if since is None else since
        api = ExchangeApi(self._settings)
        archive = archive_of(self._settings, api.market)
        fetch = _Fetch(api, FetchedTable(self._settings, first, again=since is not None), brought, progress)
        if awaited is not None:
            fetch.wait_for(awaited)
        now = api.now()
        if archive is not None and fetch.from_archive(archive, now):
            now = api.now()
        fetch.from_api(now)


@dataclass(frozen=True)
class _Fetch:
    """One visit to an exchange."""

    api: ExchangeApi
    table: FetchedTable
    brought: Brought
    progress: Progress

    def wait_for(self, hour: pd.Timestamp) -> None:
        """Wait until the hour has closed by the exchange's time, then until its candle is there: AWAITED_S at most."""
        closes_in = (hour + HOUR - self.api.now()).total_seconds()
        if closes_in > CLOSES_IN_S:
            return
        deadline = time.monotonic() + max(closes_in, 0) + AWAITED_S
        while time.monotonic() < deadline:
            if closes_in <= 0 and len(self.api.page(hour, hour, hour)):
                return
            time.sleep(closes_in if closes_in > 0 else POLL_EVERY_S)
            closes_in = (hour + HOUR - self.api.now()).total_seconds()

    def from_archive(self, archive: Archive, now: pd.Timestamp) -> bool:
        """Store what the archive has of the days that are over, month by month.

        Whatever is wrong with the archive is a warning: the API has the hours too.
        Returns whether the archive was asked: it is not if no more lacks than a page of the API has.
        """
        lacking = self.table.lacking(last_closed_hour(now))
        if len(lacking) <= self.api.page_hours:
            return False
        finished = lacking[lacking < now.normalize()]
        months = finished.to_period("M").unique()
        warned: dict[str, list[str]] = {}
        for done, month in enumerate(months):
            self.progress("archive, months", done, len(months))
            wanted = finished[finished.to_period("M") == month]
            try:
                rows, warnings = month_of_history(archive, wanted, now, self._ask)
            except (RunError, UserError) as error:
                self.brought.warnings.append(f"the archive is left out: {error}")
                break
            for reason, files in warnings.items():
                warned.setdefault(reason, []).extend(files)
            if len(rows):
                self.table.store("archive", rows, now, self.brought)
        self.progress("archive, months", len(months), len(months))
        self.brought.warnings += [f"archive: {reason}: {shortened(files, SHOWN)}" for reason, files in warned.items()]
        return True

    def from_api(self, now: pd.Timestamp) -> None:
        """Store what still lacks, and what has changed in the last hours; remember what the exchange does not have."""
        last = last_closed_hour(now)
        lacking = self.table.lacking(last)
        asked = lacking.union(self.table.recent(last))
        found = NO_HOURS
        pages: list[pd.DataFrame] = []
        done = 0
        try:
            for rows, hours in self._pages(asked, last):
                pages.append(rows)
                done += len(hours)
                self.progress("API, hours", done, len(asked))
                if sum(map(len, pages)) >= STORED_AT_ONCE:
                    found = found.union(self._store(pages, now))
                    pages.clear()
        finally:
            if pages:
                found = found.union(self._store(pages, now))
        self.table.note_absent(lacking.difference(found), now, self.brought)

    def _store(self, pages: list[pd.DataFrame], now: pd.Timestamp) -> pd.DatetimeIndex:
        return self.table.store("API", pd.concat(pages, ignore_index=True), now, self.brought)

    def _ask(self, hours: pd.DatetimeIndex) -> pd.DataFrame:
        """The API's rows of closed hours, ascending."""
        return pd.concat([rows for rows, _ in self._pages(hours, hours[-1])])

    def _pages(self, hours: pd.DatetimeIndex, closed: pd.Timestamp) -> Iterator[tuple[pd.DataFrame, pd.DatetimeIndex]]:
        """Ask for hours, ascending, page by page: the rows of each page, and the hours that are done with it.

        A page that ends early is followed by one that begins an hour after its last row. Nothing is concluded from the
        number of its rows. closed: the last hour that has closed.
        """
        while len(hours):
            first = hours[0]
            last = hours[hours < first + self.api.page_hours * HOUR][-1]
            rows = self.api.page(first, last, closed)
            covered = rows["timestamp"].iloc[-1] if len(rows) else last
            yield rows[rows["timestamp"].isin(hours)].reset_index(drop=True), hours[hours <= covered]
            hours = hours[hours > covered]
