"""Looking into the stored rows of a key: the names that they have, their months, and the values of some of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feature_backfill.store.database import scalar
from feature_backfill.store.features import TABLE, stored_hours
from feature_backfill.store.parsing import in_parts
from feature_backfill.store.row_source import RowSource


def name_sets(connection: duckdb.DuckDBPyConnection, feature_key: str) -> list[tuple[list[str], pd.DatetimeIndex]]:
    """Each sequence of names that rows of a key have, with their hours (UTC-naive, ascending); the most frequent first.

    Reads every row, some 25,000 a second and core. The key must have a row.
    """

    def hashed_names(cursor: duckdb.DuckDBPyConnection, part: pd.DatetimeIndex) -> pd.DataFrame:
        return cursor.execute(
            f"SELECT ts, hash(json_keys(features)) AS names FROM {TABLE}"
            " WHERE feature_key = ? AND ts BETWEEN ? AND ? ORDER BY ts",
            [feature_key, part[0], part[-1]],
        ).df()

    rows = pd.concat(in_parts(connection, stored_hours(connection, feature_key), hashed_names))
    alike = sorted((pd.DatetimeIndex(hours) for _, hours in rows.groupby("names")["ts"]), key=len, reverse=True)
    sql = f"SELECT json_keys(features) FROM {TABLE} WHERE feature_key = ? AND ts = ?"
    return [(scalar(connection, sql, [feature_key, hours[0]]) or [], hours) for hours in alike]


@dataclass(frozen=True)
class Month:
    """The rows of a key in one calendar month: its first hour, how many rows, and a digest that changes with any."""

    first: pd.Timestamp
    rows: int
    digest: int


def months_of(
    connection: duckdb.DuckDBPyConnection, feature_key: str, start: pd.Timestamp | None, end: pd.Timestamp | None
) -> list[Month]:
    """The months in which a key has rows from start to end, both included, ascending. The table must exist.

    Reads every row. Another version of DuckDB may give another digest for the same rows.
    """
    what = "date_trunc('month', ts) AS month, count(*), bit_xor(hash(ts, CAST(features AS VARCHAR)))"
    found = RowSource(connection, feature_key).select(what, start, end, "GROUP BY month ORDER BY month").fetchall()
    return [Month(pd.Timestamp(month), rows, digest) for month, rows, digest in found]


def values_at(
    connection: duckdb.DuckDBPyConnection, feature_key: str, hours: pd.DatetimeIndex, names: Sequence[str]
) -> pd.DataFrame:
    """Values of some of a key's rows: those of the hours that have a row (UTC-naive, ascending) x names, float64.

    NaN where the row has null, no number, or no such name. For a few thousand hours of a long history; a range is what
    `read_features` is for. The table must exist.
    """
    rows = connection.sql(
        f"SELECT ts, from_json(features, ?) AS features FROM {TABLE}"
        " WHERE feature_key = ? AND ts IN (SELECT unnest(CAST(? AS TIMESTAMP[]))) ORDER BY ts",
        params=[json.dumps(dict.fromkeys(names, "DOUBLE")), feature_key, list(hours.to_pydatetime())],
    ).to_arrow_table()
    structs = rows["features"].combine_chunks()
    values = {name: structs.field(name).to_numpy(zero_copy_only=False) for name in names}
    return pd.DataFrame(values, index=pd.DatetimeIndex(rows["ts"].to_numpy()))


def agreement(
    values: NDArray[np.float64], expected: NDArray[np.float64], relative: float, absolute: float | NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which values of rows are the expected ones, up to `relative` of the expected value plus `absolute`.

    Both arrays have the same shape. A row that says null, which is read as NaN, agrees with an infinity too.
    """
    equal = np.isclose(values, expected, rtol=relative, atol=absolute, equal_nan=True)
    return equal | (np.isnan(values) & ~np.isfinite(expected))
