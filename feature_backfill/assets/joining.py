"""Whether new rows may join those that are stored under a feature key. Reads both databases, writes neither."""

import duckdb
import numpy as np
import pandas as pd

from feature_backfill.config import FeatureSet, Market, asset_slug
from feature_backfill.contracts import KeyContract
from feature_backfill.engine.bars import HourlyRows
from feature_backfill.engine.compute import compute_rows
from feature_backfill.errors import UserError
from feature_backfill.store.contracts import known_contract, require_bars_of
from feature_backfill.store.database import connect, database_path
from feature_backfill.store.features import distinct_keys, stored_hours
from feature_backfill.store.ohlcv import read_ohlcv
from feature_backfill.store.row_contents import agreement, values_at

SAMPLE = 12
"""Rows that are computed once more where nothing else tells which OHLCV and lookback a key has."""

RELATIVE, ABSOLUTE = 1e-6, 1e-8
AGREEING_VALUES = 0.98
"""A row agrees if so many of its values differ by no more than RELATIVE of them plus ABSOLUTE."""


def require_joinable(market: Market, feature_set: FeatureSet) -> None:
    """Raise UserError if rows of a feature set would not fit to what the target database holds.

    The contract of the key decides. What it does not say, because somebody else stored the rows or the OHLCV has moved,
    a sample of the rows does: most of them must be what the OHLCV gives with this lookback.
    """
    if not market.target_database.exists():
        return
    with connect(market.target_database, read_only=True) as connection:
        require_bars_of(connection, market.ohlcv_identity)
        require_own_asset(connection, feature_set)
        known = known_contract(connection, feature_set.key)
        feature_set.contract(market).continuing(known, feature_set.key, str(market.target_database))
        if known is None or _says_all(known, market):
            return
        hours = stored_hours(connection, feature_set.key)
        hours = hours[np.unique(np.linspace(0, len(hours) - 1, SAMPLE).astype(int))]
        rows = values_at(connection, feature_set.key, hours, known.names)
    _require_agreement(market, feature_set, rows)


def require_own_asset(connection: duckdb.DuckDBPyConnection, feature_set: FeatureSet) -> None:
    """Raise UserError if the database holds rows of another key that has the same asset in Dagster.

    The asset would show the hours of both keys, and neither a run nor a repair could tell them apart.
    """
    others = [
        key for key in distinct_keys(connection) if key != feature_set.key and asset_slug(key) == feature_set.slug
    ]
    if others:
        raise UserError(
            f"{database_path(connection)} holds rows of the key {others[0]!r}, whose asset in Dagster has the same "
            f"name, {feature_set.slug}, as that of {feature_set.key!r}; rename this key, or use another database"
        )


def _says_all(known: KeyContract, market: Market) -> bool:
    """Whether a contract names the lookback, and the very file of the market's OHLCV."""
    return known.base_hours is not None and known.ohlcv == market.ohlcv_identity


def _require_agreement(market: Market, feature_set: FeatureSet, rows: pd.DataFrame) -> None:
    """Raise UserError if less than half of some rows (hours x names) agree with OHLCV, as far as it has their hours."""
    first, last = feature_set.lookback.first_hour(rows.index[0]), rows.index[-1]
    with connect(market.source.database, read_only=True) as connection:
        ohlcv = HourlyRows.of(read_ohlcv(connection, market.source.table, first, last))
    hours = pd.DatetimeIndex(rows.index)
    computed = compute_rows(ohlcv, hours, feature_set.lookback, feature_set.timeframes, {}).features[rows.columns]
    stored = rows.loc[computed.index]
    agree = agreement(stored.to_numpy(), computed.to_numpy(), RELATIVE, ABSOLUTE)
    wrong = int((agree.mean(axis=1) < AGREEING_VALUES).sum())
    if 2 * wrong > len(computed):
        raise UserError(
            f"{wrong} of {len(computed)} rows under the key {feature_set.key} of {market.target_database} that were "
            f"looked at are not what {market.ohlcv_identity} gives with {feature_set.base_hours} base hours and "
            f"{feature_set.buffer_hours} buffer hours: they have another market or lookback. Correct it, or use "
            "another feature key"
        )
