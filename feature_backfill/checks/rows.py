"""The stored rows that the checks of a feature set are about."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pandas as pd

from feature_backfill.assets.names import features_key
from feature_backfill.config import FeatureSet, Market
from feature_backfill.errors import UserError
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours


def hours_with_rows(market: Market, feature_set: FeatureSet) -> pd.DatetimeIndex:
    """The hours that have a row, ascending; there is at least one. Raises UserError as stored_rows does."""
    with stored_rows(market, feature_set) as (_, hours):
        return hours


@contextmanager
def stored_rows(
    market: Market, feature_set: FeatureSet
) -> Iterator[tuple[duckdb.DuckDBPyConnection, pd.DatetimeIndex]]:
    """The target database, open for reading, and the hours that have a row, ascending; there is at least one.

    The block should be short: nobody can write meanwhile. Raises UserError if there is no database or no row.
    """
    with connect(market.target, read_only=True) as connection:
        hours = stored_hours(connection, feature_set.key)
        if hours.empty:
            raise UserError(
                f"no row under the key {feature_set.key} in {market.target}: "
                f"materialize hours of {features_key(market, feature_set).to_user_string()} first"
            )
        yield connection, hours
