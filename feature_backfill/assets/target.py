"""The resource that writes into a market's target database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from feature_backfill.config import Market
from feature_backfill.store.database import connect


class TargetDatabase(DuckDBResource):
    """dagster-duckdb's resource, with the project's way of opening a file: patient, in UTC, closed at the end."""

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for writing, which nobody else has meanwhile."""
        with connect(Path(self.database), read_only=False) as connection:
            yield connection


def target_key(market: Market) -> str:
    """The resource's key: `target_<market>`; it begins with a letter, as it must, whatever the market is called."""
    return f"target_{market.name}"


def target_database(market: Market) -> TargetDatabase:
    """The resource of a market."""
    return TargetDatabase(database=str(market.target_database))


def target_of_run(context: dg.AssetExecutionContext, market: Market) -> TargetDatabase:
    """The resource in a run whose asset requires target_key(market)."""
    target: TargetDatabase = getattr(context.resources, target_key(market))
    return target
