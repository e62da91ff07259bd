"""Parsing the JSON of stored rows into an array, several parts at once, in bounded memory.

DuckDB parses a part in one thread. It needs about six times the size of the part's JSON, and keeps what it has read of
the file until its memory limit is reached.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from feature_backfill.store.database import ROW_GROUP_SIZE
from feature_backfill.store.row_source import RowSource

_ROWS_PER_PART = 4 * ROW_GROUP_SIZE
_MIB = 2**20
_JSON_PER_PART = 7 * _MIB
_MEMORY_PER_PART = 56 * _MIB
# Enough for two parts at once.
_LEAST_MEMORY = 128 * _MIB

Part = TypeVar("Part")


def in_parts(
    connection: duckdb.DuckDBPyConnection,
    hours: pd.DatetimeIndex,
    read: Callable[[duckdb.DuckDBPyConnection, pd.DatetimeIndex], Part],
    rows: int = _ROWS_PER_PART,
    at_once: int | None = None,
) -> list[Part]:
    """What `read` returns for each part of the hours, in their order.

    rows: hours in a part; at_once: parts that are read at the same time, by default one for each core.
    """

    def read_part(start: int) -> Part:
        with connection.cursor() as cursor:
            return read(cursor, hours[start : start + rows])

    with ThreadPoolExecutor(at_once or os.cpu_count()) as pool:
        return list(pool.map(read_part, range(0, len(hours), rows)))


def parse_values(
    source: RowSource,
    hours: pd.DatetimeIndex,
    names: Sequence[str],
    values: NDArray[np.floating],
) -> None:
    """Write the values of rows into an array, names x hours, that was filled with NaN.

    hours: ascending, all those between the first and the last that have a row. What lacks in a row stays NaN. Takes as
    much memory as the array, or 128 MiB if the array is smaller, besides the array.
    """
    if hours.empty or not names:
        return
    structure = json.dumps(dict.fromkeys(names, "DOUBLE"))

    def parse(cursor: duckdb.DuckDBPyConnection, part: pd.DatetimeIndex) -> None:
        rows = _arrow_table(source.on(cursor), part[0], part[-1], structure)
        at = hours.searchsorted(part[0]) + part.get_indexer(rows["ts"].to_numpy())
        structs = rows["features"].combine_chunks()
        with np.errstate(over="ignore"):  # beyond the range of float32: infinite
            for column, name in enumerate(names):
                values[column, at] = structs.field(name).to_numpy(zero_copy_only=False)

    memory = max(_LEAST_MEMORY, values.nbytes)
    ((length,),) = source.select("strlen(features)", hours[-1], hours[-1]).fetchall()
    rows_per_part = min(_ROWS_PER_PART, max(1, _JSON_PER_PART // length))
    with _memory_limit(source.connection, memory):
        in_parts(source.connection, hours, parse, rows_per_part, min(os.cpu_count() or 1, memory // _MEMORY_PER_PART))


@contextmanager
def _memory_limit(connection: duckdb.DuckDBPyConnection, size: int) -> Iterator[None]:
    """Let DuckDB hold no more than so many bytes during the block, if others who read the file allow it."""
    with suppress(duckdb.OutOfMemoryException):
        connection.execute(f"SET memory_limit = '{size // _MIB}MiB'")
    try:
        yield
    finally:
        connection.execute("RESET memory_limit")


def _arrow_table(source: RowSource, start: pd.Timestamp, end: pd.Timestamp, structure: str) -> pa.Table:
    """The parsed rows from start to end. If they do not fit into the memory limit, the limit is lifted."""
    what = "ts, from_json(features, $structure) AS features"
    try:
        return source.select(what, start, end, structure=structure).to_arrow_table()
    except duckdb.OutOfMemoryException:
        source.connection.execute("RESET memory_limit")
        return source.select(what, start, end, structure=structure).to_arrow_table()
