"""Whether new rows may join those that are stored under a feature key. Reads both databases, writes neither."""

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feature_backfill.config import FeatureSet, Market, asset_slug
from feature_backfill.config.modules import feature_module
from feature_backfill.contracts import KeyContract, ModuleIdentity
from feature_backfill.engine.bars import HourlyRows
from feature_backfill.engine.catalog import Catalog
from feature_backfill.engine.compute import compute_rows
from feature_backfill.errors import UserError
from feature_backfill.store.contracts import known_contract, require_bars_of
from feature_backfill.store.database import connect, database_path
from feature_backfill.store.features import distinct_keys, stored_hours
from feature_backfill.store.ohlcv import read_ohlcv
from feature_backfill.store.row_contents import agreement, values_at
from feature_backfill.store.targets import exists

SAMPLE = 12
"""Rows that are computed once more where nothing else tells which OHLCV and lookback a key has."""

MODULE_SAMPLE = 60
"""Rows that are computed once more where a module may not be the one that the rows rest on."""

RELATIVE, ABSOLUTE = 1e-6, 1e-8
AGREEING_VALUES = 0.98
"""A row agrees if so many of its values differ by no more than RELATIVE of them plus ABSOLUTE."""

ROUNDING = 1e-10
"""How far a value may be off that the same module gives again, relative to the greatest of the sample."""


def require_joinable(market: Market, feature_set: FeatureSet) -> None:
    """Raise UserError if rows of a feature set would not fit to what the target database holds.

    The contract of the key decides. What it does not say, because somebody else stored the rows or the OHLCV has moved,
    a sample of the rows does: most of them must be what the OHLCV gives with this lookback. Where the source of a
    feature module was changed and its version was not, and where no module is recorded, every row of a sample must be
    what the module gives now.
    """
    if not exists(market.target):
        return
    with connect(market.target, read_only=True) as connection:
        require_bars_of(connection, market.ohlcv_identity)
        require_own_asset(connection, feature_set)
        known = known_contract(connection, feature_set.key)
        wanted = feature_set.contract(market)
        wanted.continuing(known, feature_set.key, str(market.target))
        changed = known.changed_modules(wanted) if known else []
        if known is None or (_says_all(known, market) and not changed):
            return
        stored = stored_hours(connection, feature_set.key)
        hours = stored[np.unique(np.linspace(0, len(stored) - 1, SAMPLE).astype(int))]
        rows = values_at(connection, feature_set.key, hours, known.names)
        doubted = changed if known.modules else wanted.modules
        drawn = _drawn(stored) if doubted else stored[:0]
        more = values_at(connection, feature_set.key, drawn, known.names)
    if not _says_all(known, market):
        _require_agreement(market, feature_set, rows)
    for module in doubted:
        _require_same_values(market, feature_set, module, more)


def _drawn(stored: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Stored hours at random, ascending."""
    places = np.random.default_rng().choice(len(stored), min(len(stored), MODULE_SAMPLE), replace=False)
    return stored[np.sort(places)]


def changed_modules(market: Market, feature_set: FeatureSet) -> list[str]:
    """A line for each feature module whose source is not the one with which the newest rows were computed."""
    if not feature_set.feature_modules or not exists(market.target):
        return []
    with connect(market.target, read_only=True) as connection:
        known = known_contract(connection, feature_set.key)
    changed = known.changed_modules(feature_set.contract(market)) if known else []
    return [
        f"the source of {module.name} was changed, and VERSION = {module.version} was not; a sample of the rows under "
        f"{feature_set.key} has the same values still. Raise VERSION, and use another key, whenever values change"
        for module in changed
    ]


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
    agree = _agreement(market, feature_set, rows)
    wrong = int((agree.mean(axis=1) < AGREEING_VALUES).sum())
    if 2 * wrong > len(agree):
        raise UserError(
            f"{wrong} of {len(agree)} rows under the key {feature_set.key} of {market.target} that were "
            f"looked at are not what {market.ohlcv_identity} gives with {feature_set.base_hours} base hours and "
            f"{feature_set.buffer_hours} buffer hours: they have another market or lookback. Correct it, or use "
            "another feature key"
        )


def _require_same_values(market: Market, feature_set: FeatureSet, module: ModuleIdentity, rows: pd.DataFrame) -> None:
    """Raise UserError if a module does not give the values of its features in some rows (hours x names)."""
    own = Catalog(()).extended([feature_module(module.name).module]).names(feature_set.timeframes)
    rows = rows.loc[:, rows.columns.isin(own)]
    agree = _agreement(market, feature_set, rows, ROUNDING, ROUNDING * rows.abs().max().to_numpy(np.float64))
    other = agree.columns[~agree.all(axis=0)]
    if len(other):
        raise UserError(
            f"{module.name} gives other values than those stored under the key {feature_set.key}, for instance of "
            f"{other[0]} at {agree.index[~agree[other[0]]][-1]}: what it computes was changed, and VERSION = "
            f"{module.version} was not. If OHLCV was corrected instead, recompute what is stale first, with the "
            "source as it was. Otherwise raise VERSION, and use another feature key, or start this one anew with "
            "feature-backfill retire-key"
        )


def _agreement(
    market: Market,
    feature_set: FeatureSet,
    rows: pd.DataFrame,
    relative: float = RELATIVE,
    absolute: float | NDArray[np.float64] = ABSOLUTE,
) -> pd.DataFrame:
    """Which values of rows (hours x names) are what OHLCV gives now, of the hours that can be computed.

    absolute: for all names, or for each.
    """
    first, last = feature_set.lookback.first_hour(rows.index[0]), rows.index[-1]
    columns = market.columns_of(feature_set)
    with connect(market.source.database, read_only=True) as connection:
        ohlcv = HourlyRows.of(read_ohlcv(connection, market.source.table, first, last, columns), columns)
    hours, lookback = pd.DatetimeIndex(rows.index), feature_set.lookback
    result = compute_rows(ohlcv, hours, lookback, feature_set.timeframes, {}, feature_set.catalog)
    computed = result.features[rows.columns]
    agree = agreement(rows.loc[computed.index].to_numpy(), computed.to_numpy(), relative, absolute)
    return pd.DataFrame(agree, index=computed.index, columns=rows.columns)
