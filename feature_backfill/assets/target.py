"""The resource that writes into the markets' targets."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from feature_backfill.config import Lake, Market
from feature_backfill.dagster_internals.reports import StepContext
from feature_backfill.store.database import connect

TARGETS = "targets"
"""The key of the resource. It is one for all markets: a job's schema names each resource of the code location, so with
one a market it would take time that grows with the square of the markets to load them."""


class TargetDatabase(DuckDBResource):
    """The DuckDB resource of dagster-duckdb, opened as the project opens files: in UTC, waiting for its turn."""

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The only connection that writes to the database; closed at the end of the block."""
        with connect(Path(self.database), read_only=False) as connection:
            yield connection


class TargetLake:
    """The target of a market that has a lake."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The only connection of the project that writes to the market's schema; closed at the end of the block."""
        with connect(self.lake, read_only=False) as connection:
            yield connection


class TargetDatabases:
    """The targets of all markets."""

    def of(self, market: Market) -> TargetDatabase | TargetLake:
        """The target of a market. Its YAML alone says where that is."""
        target = market.target
        return TargetLake(target) if isinstance(target, Lake) else TargetDatabase(database=str(target))


def target_databases() -> dg.ResourceDefinition:
    """The resource. A launchpad does not offer it."""
    return dg.ResourceDefinition.hardcoded_resource(TargetDatabases(), "Writes into the markets' targets.")


def target_of_run(context: StepContext, market: Market) -> TargetDatabase | TargetLake:
    """The target of a market, in a run whose asset or op requires TARGETS."""
    targets: TargetDatabases = getattr(context.resources, TARGETS)
    return targets.of(market)
