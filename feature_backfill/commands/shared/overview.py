"""How every feature set of configs/ stands, by a look at the files alone. Nothing here imports Dagster."""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from feature_backfill.commands.shared.defaults import LOCAL_HOME
from feature_backfill.config import Lake, Market, checks_name
from feature_backfill.dagster_internals.check_records import INDEX, LastChecks, last_checks, other_event_log
from feature_backfill.engine.bars import HourlyRows, Integers, epoch_hours, timestamps
from feature_backfill.errors import RunError, UserError
from feature_backfill.hours import hour_range, last_closed_hour
from feature_backfill.planning.counting import HourCounts, count_missing
from feature_backfill.planning.standing import hours_between, split_at, whole_stretch
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours_of_keys
from feature_backfill.store.ohlcv import read_ohlcv, sound_hours
from feature_backfill.store.targets import exists

PATIENCE_S = 2.0
"""How long a look waits for a database that is being written."""

THREADS = 2
"""How many markets are looked at at once: while DuckDB reads for one, the other's hours are counted."""

NO_HOURS = pd.DatetimeIndex([], dtype="datetime64[us]")
Checks = Mapping[tuple[str, ...], LastChecks]


@dataclass(frozen=True)
class Overview:
    """How a feature set stands. Hours are UTC-naive; what is not known is None.

    hours: that are stored. oldest, newest: of those that have closed; ahead: the others, ascending. behind: hours from
    the newest to the last closed hour by the clock; ohlcv_behind: from the end of OHLCV to it. missing: the hours of
    OHLCV that are not stored, by why. no_target: the target database, if it is still to be made. checks: the last ones
    of the feature set, ohlcv_checks: of its OHLCV. error: why the files could not be looked at.
    """

    market: str
    key: str
    hours: int | None = None
    oldest: pd.Timestamp | None = None
    newest: pd.Timestamp | None = None
    ahead: pd.DatetimeIndex = field(default_factory=lambda: NO_HOURS)
    no_target: Path | Lake | None = None
    behind: int | None = None
    ohlcv_behind: int | None = None
    missing: HourCounts | None = None
    checks: LastChecks | None = None
    ohlcv_checks: LastChecks | None = None
    error: str | None = None

    @property
    def stale(self) -> int | None:
        """How many stale rows the last check of the feature set found."""
        found = None if self.checks is None else self.checks.numbers.get("corrections/hours_stale")
        return None if found is None else int(found)


def known_checks() -> tuple[Checks, str | None]:
    """What is known of the last checks, by the asset that carries them, and why it may not be all; None if it is."""
    home = Path(os.environ.get("DAGSTER_HOME", "").strip() or LOCAL_HOME).expanduser().absolute()
    if elsewhere := other_event_log(home):
        return {}, f"nothing is known of checks: {elsewhere}"
    if not (home / INDEX).exists():
        return {}, f"nothing is known of checks: Dagster keeps no SQLite event log in {home}"
    try:
        return last_checks(home, checks_name("")), None
    except (sqlite3.Error, ValueError, LookupError) as error:  # not readable, or of another version of Dagster
        return {}, f"nothing is known of checks: {home / INDEX} cannot be read: {error}"


def overviews(markets: Sequence[Market], checks: Checks) -> Iterator[Overview]:
    """An overview of each feature set of each market, in their order. Files that cannot be read are no error."""
    with ThreadPoolExecutor(THREADS) as threads:
        for of_market in threads.map(partial(_looked_at, checks=checks), markets):
            yield from of_market


def _looked_at(market: Market, checks: Checks) -> list[Overview]:
    try:
        return list(_of_market(market, checks))
    except (UserError, RunError) as error:
        return [Overview(market.name, feature_set.key, error=str(error)) for feature_set in market.feature_sets]


def _of_market(market: Market, checks: Checks) -> Iterator[Overview]:
    closed = last_closed_hour()
    rows = _hourly_rows(market, closed)
    there = exists(market.target)
    stored = _stored(market) if there else dict.fromkeys((each.key for each in market.feature_sets), NO_HOURS)
    ends = (rows.stamps[0], rows.stamps[-1]) if len(rows.hours) else None
    whole = None if ends is None else whole_stretch(market.first_hour, ends, closed)
    hours = epoch_hours(NO_HOURS if whole is None else hour_range(*whole))
    for feature_set in market.feature_sets:
        known, ahead = split_at(stored[feature_set.key], closed)
        yield Overview(
            market=market.name,
            key=feature_set.key,
            hours=len(known) + len(ahead),
            oldest=known[0] if len(known) else None,
            newest=known[-1] if len(known) else None,
            ahead=ahead,
            no_target=None if there else market.target,
            behind=hours_between(known[-1], closed) if len(known) else None,
            ohlcv_behind=None if ends is None else hours_between(ends[1], closed),
            missing=count_missing(_without(hours, known), feature_set, rows),
            checks=checks.get((market.name, "features", checks_name(feature_set.slug))),
            ohlcv_checks=checks.get((market.name, checks_name("ohlcv"))),
        )


def _without(hours: Integers, stored: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Those of the hours (since 1970) that are not stored, ascending like them; quicker than pandas' difference."""
    return timestamps(hours[~np.isin(hours, epoch_hours(stored))])


def _hourly_rows(market: Market, closed: pd.Timestamp) -> HourlyRows:
    """All hourly rows up to the last closed hour; their values only if some may be bad."""
    with connect(market.source.database, read_only=True, patience=PATIENCE_S) as connection:
        hours = sound_hours(connection, market.source.table, closed)
        if hours is not None:
            return HourlyRows.sound_at(hours)
        return HourlyRows.of(read_ohlcv(connection, market.source.table, end=closed))


def _stored(market: Market) -> Mapping[str, pd.DatetimeIndex]:
    """The stored hours of each feature key of a target that is there."""
    with connect(market.target, read_only=True, patience=PATIENCE_S) as connection:
        return stored_hours_of_keys(connection, [feature_set.key for feature_set in market.feature_sets])
