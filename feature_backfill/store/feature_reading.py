"""Reading stored features in bulk, as frames."""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import pandas as pd

from feature_backfill.errors import UserError
from feature_backfill.hours import to_utc
from feature_backfill.store.database import ROW_GROUP_SIZE, connect, database_path, scalar
from feature_backfill.store.features import TABLE, require_features_table, stored_hours

_ROWS_PER_READ = 4 * ROW_GROUP_SIZE
_NAMES_SHOWN = 10

Part = TypeVar("Part")


def read_features(
    database: Path | str,
    feature_key: str,
    start: pd.Timestamp | str | None = None,
    end: pd.Timestamp | str | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The stored features of a key from start to end, both included (UTC, unless they carry an offset).

    columns: the features to read, in this order; by default those of the newest row of the range, in its order. A row
    that lacks one of them has NaN there. `null` reads as NaN, the bare tokens NaN and -Infinity as what they say.

    Returns hours (UTC-naive, ascending, named "ts") x features (float64); without rows in the range, an empty frame.

    Raises UserError if the file, the table or the key does not exist, the table has another schema, or the newest row
    lacks one of the columns.
    """
    first, last = (None if bound is None else to_utc([bound])[0] for bound in (start, end))
    with connect(Path(database), read_only=True) as connection:
        _require_key(connection, feature_key)
        hours = stored_hours(connection, feature_key, first, last)
        names = _names_to_read(connection, feature_key, hours, columns)
        return pd.DataFrame(_values(connection, feature_key, hours, names), index=hours, columns=names)


def _require_key(connection: duckdb.DuckDBPyConnection, feature_key: str) -> None:
    require_features_table(connection)
    rows = connection.execute(f"SELECT DISTINCT feature_key FROM {TABLE} ORDER BY feature_key").fetchall()
    keys = [key for (key,) in rows]
    if feature_key not in keys:
        raise UserError(
            f"no features under the key {feature_key} in {database_path(connection)}; "
            f"the keys there: {', '.join(keys) or 'none'}"
        )


def _names_to_read(
    connection: duckdb.DuckDBPyConnection, feature_key: str, hours: pd.DatetimeIndex, columns: Sequence[str] | None
) -> list[str]:
    if hours.empty:
        return list(columns or [])
    newest = hours[-1]
    names: list[str] = scalar(
        connection, f"SELECT json_keys(features) FROM {TABLE} WHERE feature_key = ? AND ts = ?", [feature_key, newest]
    )
    unknown = [column for column in columns or [] if column not in names]
    if unknown:
        raise UserError(
            f"no such feature under the key {feature_key} at {newest}: {', '.join(unknown)}; "
            f"it has {', '.join(names[:_NAMES_SHOWN])}{' ...' if names[_NAMES_SHOWN:] else ''}"
        )
    return names if columns is None else list(columns)


def in_parts(
    connection: duckdb.DuckDBPyConnection,
    hours: pd.DatetimeIndex,
    read: Callable[[duckdb.DuckDBPyConnection, pd.DatetimeIndex], Part],
) -> list[Part]:
    """What is read of parts of the hours, in their order, side by side: DuckDB scans a row group in one thread."""

    def read_part(start: int) -> Part:
        with connection.cursor() as cursor:
            return read(cursor, hours[start : start + _ROWS_PER_READ])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(read_part, range(0, len(hours), _ROWS_PER_READ)))


def _values(
    connection: duckdb.DuckDBPyConnection, feature_key: str, hours: pd.DatetimeIndex, names: list[str]
) -> np.ndarray:
    """The values, hours x names."""
    values = np.full((len(names), len(hours)), np.nan)
    if not names:
        return values.T
    structure = json.dumps(dict.fromkeys(names, "DOUBLE"))

    def read(cursor: duckdb.DuckDBPyConnection, part: pd.DatetimeIndex) -> None:
        rows = cursor.sql(
            f"SELECT ts, from_json(features, ?) AS features FROM {TABLE} WHERE feature_key = ? AND ts BETWEEN ? AND ?",
            params=[structure, feature_key, part[0], part[-1]],
        ).to_arrow_table()
        at = hours.searchsorted(part[0]) + part.get_indexer(rows["ts"].to_numpy())
        structs = rows["features"].combine_chunks()
        for column, name in enumerate(names):
            values[column, at] = structs.field(name).to_numpy(zero_copy_only=False)

    in_parts(connection, hours, read)
    return values.T
