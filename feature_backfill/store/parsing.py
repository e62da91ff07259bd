"""Parsing the JSON of stored rows into an array, a few hundred rows at a time, while the next ones are fetched."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any, TypeVar

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic_core import from_json

from feature_backfill.errors import UserError
from feature_backfill.store.database import beside, database_path, is_lake
from feature_backfill.store.row_source import RowSource
from feature_backfill.store.writable import ROW_GROUP_SIZE

_ROWS_PER_PART = 4 * ROW_GROUP_SIZE
_ROWS_PER_FETCH = 1024
"""Rows whose text is held at a time, 20 MB of it. DuckDB decompresses 2,048 for them, so fewer would cost more time."""

Part = TypeVar("Part")
Row = tuple[pd.Timestamp, str]


def in_parts(
    connection: duckdb.DuckDBPyConnection,
    hours: pd.DatetimeIndex,
    read: Callable[[duckdb.DuckDBPyConnection, pd.DatetimeIndex], Part],
) -> list[Part]:
    """What `read` returns for each part of the hours, in their order; one part for each core at the same time."""
    parts = [hours[start : start + _ROWS_PER_PART] for start in range(0, len(hours), _ROWS_PER_PART)]
    with ExitStack() as cursors, ThreadPoolExecutor(os.cpu_count()) as pool:
        # Made before any thread starts: a connection serves one thread at a time.
        own = [cursors.enter_context(beside(connection)) for _ in parts]
        return list(pool.map(read, own, parts))


def parse_values(
    source: RowSource, hours: pd.DatetimeIndex, names: list[str], values: NDArray[np.floating[Any]]
) -> None:
    """Write the values of rows into an array, names x hours, that was filled with NaN.

    hours: ascending, all those between the first and the last that have a row. A name that a row lacks, and what is no
    number, stays NaN. Raises UserError if a row is no JSON.
    """
    if hours.empty or not names:
        return
    with _one_thread(source.connection):
        for rows in _fetched(source, hours):
            at = hours.get_indexer(pd.DatetimeIndex([hour for hour, _ in rows]))
            with np.errstate(over="ignore"):  # beyond the range of float32: infinite
                values[:, at] = np.array([_numbers(source, hour, text, names) for hour, text in rows]).T


@contextmanager
def _one_thread(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Have DuckDB read with one thread, which is faster than parsing.

    Each thread would decompress a row group of 40 MB at a time. In a lake, DuckDB would wait for ever to end threads
    that serve other connections.
    """
    if is_lake(connection):
        yield
        return
    connection.execute("SET threads = 1")
    try:
        yield
    finally:
        connection.execute("RESET threads")


def _fetched(source: RowSource, hours: pd.DatetimeIndex) -> Iterator[list[Row]]:
    """Hours and texts of the rows, some at a time. The next ones are fetched while these are used."""
    edges = [*range(0, len(hours), _ROWS_PER_FETCH), len(hours)]
    with ThreadPoolExecutor(1) as fetcher, beside(source.connection) as cursor:

        def fetch(start: int, end: int) -> list[Row]:
            what = "ts, CAST(features AS VARCHAR)"
            return source.on(cursor).select(what, hours[start], hours[end - 1]).fetchall()

        coming = None
        for start, end in pairwise(edges):
            here, coming = coming, fetcher.submit(fetch, start, end)
            if here is not None:
                yield here.result()
        if coming is not None:
            yield coming.result()


def _numbers(source: RowSource, hour: pd.Timestamp, text: str, names: list[str]) -> NDArray[np.float64]:
    """The values that a row has under some names."""
    try:
        row = from_json(text, cache_strings="keys")
    except ValueError as error:
        raise UserError(
            f"the row of {hour} under the key {source.feature_key} in {database_path(source.connection)} is not JSON: "
            f"{error}; compute it anew with run --overwrite"
        ) from error
    if not isinstance(row, dict):
        return np.full(len(names), np.nan)
    found = list(row.values()) if list(row) == names else [row.get(name) for name in names]
    try:
        return np.array(found, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.array([_number(value) for value in found])


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return float("nan")
