"""The history of 1, 8 and 30 markets of two feature sets with `run --all`: time, and what it leaves on disk."""

import resource
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as db

from benchmarks.folders import configure_market, dagster_home
from benchmarks.measure import Figure, command
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.markets import FIRST
from feature_backfill_tests.postgres import postgres_server

COUNTS = (1, 8, 30)
LONGEST = 9_000
SETS = ("first", "second")
WARM_UP_HOURS = 719


def figures(hours: int) -> Iterator[Figure]:
    """With DuckDB files and, where the extra is there, with lakes; the hours asked for, LONGEST at most."""
    for count in COUNTS:
        yield from _of_markets(count, min(hours, LONGEST), None)
    if find_spec("duckdb_extension_ducklake") is not None:
        with postgres_server() as server:
            for count in COUNTS:
                yield from _of_markets(count, min(hours, LONGEST), server.new_catalog())


def _of_markets(count: int, hours: int, catalog: str | None) -> Iterator[Figure]:
    """catalog: the address of an empty database, for a lake."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        home = dagster_home(folder)
        _configure(folder, count, hours, catalog)
        before = _cpu_seconds()
        elapsed, _ = command(["feature_backfill", "run", "--all"], folder, home)
        rows = count * len(SETS) * (hours - WARM_UP_HOURS)
        where = "DuckDB files" if catalog is None else "a lake"
        yield Figure(f"{count} markets of {hours:,} hours into {where}: run --all", elapsed, "s")
        yield Figure("  rows", rows / elapsed, "rows/s")
        yield Figure("  CPU of all processes", 1000 * (_cpu_seconds() - before) / rows, "ms/row")
        yield Figure("  OHLCV", _bytes(folder, "*.duckdb") / count / hours, "bytes/hour")
        yield Figure("  rows and bars on disk", _bytes(folder / "rows", "**/*") / rows, "bytes/row")
        yield Figure("  DAGSTER_HOME", _bytes(home, "**/*") / rows, "bytes/row")
        if catalog is not None:
            held, size = _catalog(catalog)
            yield Figure("  catalog, rows", held / count, "rows/market")
            yield Figure("  catalog, size", size / rows, "bytes/row")


def _configure(folder: Path, count: int, hours: int, catalog: str | None) -> None:
    (folder / "rows").mkdir()
    for number in range(count):
        name = f"m{number:02}"
        target: dict[str, Any] = {"target_database": f"../rows/{name}.duckdb"}
        if catalog is not None:
            target = {"target": {"catalog": catalog, "data": "../rows"}}
        configure_market(folder, name, synthetic_ohlcv(FIRST, hours, seed=number), SETS, **target)


def _catalog(address: str) -> tuple[int, int]:
    """How many rows DuckLake's tables have, and the bytes of the database."""
    engine = db.create_engine(address.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.connect() as connection:
        tables = db.inspect(engine).get_table_names()
        rows = sum(connection.scalar(db.select(db.func.count()).select_from(db.table(name))) or 0 for name in tables)
        size = connection.scalar(db.text("SELECT pg_database_size(current_database())")) or 0
    engine.dispose()
    return rows, size


def _bytes(folder: Path, pattern: str) -> int:
    return sum(file.stat().st_size for file in folder.glob(pattern) if file.is_file())


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
