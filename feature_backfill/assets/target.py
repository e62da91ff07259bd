"""The resource that writes into a market's target database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from feature_backfill.config import Market
from feature_backfill.dagster_internals.reports import StepContext
from feature_backfill.store.database import connect


class TargetDatabase(DuckDBResource):
    """The DuckDB resource of dagster-duckdb, opened as the project opens files: in UTC, waiting for its turn."""

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The only connection that writes to the database; closed at the end of the block."""
        with connect(Path(self.database), read_only=False) as connection:
            yield connection


def target_key(market: Market) -> str:
    """The key of the resource, `target_<market>`. The prefix makes it begin with a letter, as Dagster demands."""
    return f"target_{market.name}"


def target_database(market: Market) -> dg.ResourceDefinition:
    """The resource of a market. The YAML alone says where it writes, so a launchpad does not offer its fields."""
    return dg.ResourceDefinition.hardcoded_resource(
        TargetDatabase(database=str(market.target_database)), f"Writes into {market.target_database}."
    )


def target_of_run(context: StepContext, market: Market) -> TargetDatabase:
    """The resource of a run whose asset or op requires target_key(market)."""
    target: TargetDatabase = getattr(context.resources, target_key(market))
    return target
