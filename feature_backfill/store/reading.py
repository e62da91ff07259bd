"""Reading stored features as numbers: one key or several, of one market or several, as one frame."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import duckdb
import numpy as np
import pandas as pd

from feature_backfill.config.lake import Lake
from feature_backfill.errors import UserError, shortened
from feature_backfill.store.bounds import Bound, utc_bound
from feature_backfill.store.contracts import recorded_contract
from feature_backfill.store.database import connect, database_path
from feature_backfill.store.features import require_features_table
from feature_backfill.store.parsing import parse_values
from feature_backfill.store.row_source import RowSource, keys_with_rows

_NAMES_SHOWN = 10

Dtype = Literal["float64", "float32"]
Place = Path | str | Lake


@dataclass(frozen=True)
class _Rows:
    """The rows to read of one key of one market: their hours (ascending) and their own or the chosen names."""

    market: str
    source: RowSource
    hours: pd.DatetimeIndex
    names: list[str]


def read_features(
    database: Place | Mapping[str, Place],
    feature_key: str | Sequence[str],
    start: Bound = None,
    end: Bound = None,
    columns: Sequence[str] | None = None,
    as_of: Bound = None,
    dtype: Dtype = "float64",
) -> pd.DataFrame:
    """The stored features of one key or several, of one market or several, as one frame.

    Parameters
    ----------
    database : path or Lake, or mapping of market name to path or Lake
        The DuckDB file or the lake with the features; opened read-only. A mapping reads several markets into one frame.
    feature_key : str, or sequence of str
        The key of the rows. A sequence reads several keys into one frame; every market must have each of them.
    start, end : timestamp or str, optional
        The first and the last hour, both included. UTC, unless they carry an offset. By default all that is stored.
    columns : sequence of str, optional
        The features to read, in this order. By default those of the newest row in the range, in its order. With
        several keys or markets, all of them must have the same features, and the first of them decides the order.
    as_of : timestamp or str, optional
        Read the rows as they stood at this time (UTC): what a model saw that ran then, not what was corrected later.
        Needs the replaced rows, see `feature-backfill prune`. Rows that the project did not write are known since the
        time in their created_at.
    dtype : {"float64", "float32"}
        float32 takes half the memory; it rounds values to about seven digits, and those beyond 3.4e38 to infinity.

    Returns
    -------
    DataFrame
        Rows x features. The index is "ts" (UTC-naive, ascending) for one key of one market, otherwise a MultiIndex:
        (feature_key, ts) for several keys, (market, ts) for several markets, (market, feature_key, ts) for both, in the
        order given. NaN where a row lacks a feature or has null; the bare tokens NaN, Infinity and -Infinity read as
        what they say. Without rows in the range, an empty frame.

    Raises
    ------
    UserError
        If a file, the table or a key does not exist; if the table has an unexpected schema; if the newest row of a key
        lacks one of the columns; if the keys have different features and `columns` is not given; if a key or a column
        is named twice; if a bound is no timestamp.

    Notes
    -----
    Reading 20,000 rows of 440 features takes about 150 MiB besides the frame. While it lasts, no other process can
    write to a DuckDB file; a lake can be written at any time.

    Examples
    --------
    >>> read_features("btc.duckdb", "prod", "2024-01-01", columns=["close_rsi_14_1H"])
    >>> read_features({"btc": "btc.duckdb", "eth": "eth.duckdb"}, "prod", dtype="float32").loc["eth"]
    """
    markets = database if isinstance(database, Mapping) else {"": database}
    keys = [feature_key] if isinstance(feature_key, str) else list(feature_key)
    _require_choice(markets, keys, columns, dtype)
    first, last, moment = utc_bound("start", start), utc_bound("end", end), utc_bound("as_of", as_of)
    with ExitStack() as stack:
        found = []
        for market, path in markets.items():
            connection = stack.enter_context(connect(_target(path), read_only=True))
            for key in keys:
                source = _source(connection, key, moment)
                hours = source.hours(first, last)
                found.append(_Rows(market, source, hours, _names(source, hours, columns)))
        names = _common_names(found)
        values = _values(found, names, dtype)
    levels = (isinstance(database, Mapping), not isinstance(feature_key, str))
    return pd.DataFrame(values, index=_index(found, *levels), columns=names, copy=False)


def newest_names(
    database: Place, feature_key: str, start: Bound = None, end: Bound = None, as_of: Bound = None
) -> list[str]:
    """The features of the newest row of a key from start to end, in its order; empty if there is no row in the range.

    as_of: look at the rows as they stood then. Raises UserError as read_features does.
    """
    first, last, moment = utc_bound("start", start), utc_bound("end", end), utc_bound("as_of", as_of)
    with connect(_target(database), read_only=True) as connection:
        source = _source(connection, feature_key, moment)
        return _names(source, source.hours(first, last), None)


def _target(place: Place) -> Path | Lake:
    return place if isinstance(place, Lake) else Path(place)


def _require_choice(
    markets: Mapping[str, Place], keys: Sequence[str], columns: Sequence[str] | None, dtype: str
) -> None:
    if dtype not in get_args(Dtype):
        raise UserError(f"dtype {dtype!r}: features are read as {' or '.join(get_args(Dtype))}")
    if isinstance(columns, str):
        raise UserError(f"columns is the text {columns!r}; give a list of names")
    for what, given in (("database", list(markets)), ("feature_key", keys)):
        if not given:
            raise UserError(f"{what} is empty; name at least one")
    for what, named in (("feature_key", keys), ("columns", columns or [])):
        repeated = sorted({name for name in named if list(named).count(name) > 1})
        if repeated:
            raise UserError(f"{what} repeats {', '.join(repeated)}; give each name once")


def _source(connection: duckdb.DuckDBPyConnection, feature_key: str, as_of: pd.Timestamp | None) -> RowSource:
    """The rows of a key. Raises UserError if it has none and never had any."""
    require_features_table(connection)
    keys = keys_with_rows(connection)
    if feature_key not in keys:
        raise UserError(
            f"no features under the key {feature_key} in {database_path(connection)}; "
            f"the keys there: {', '.join(keys) or 'none'}"
        )
    return RowSource(connection, feature_key, as_of)


def _names(source: RowSource, hours: pd.DatetimeIndex, columns: Sequence[str] | None) -> list[str]:
    """The columns, which the newest row must have, or else the names of that row."""
    if hours.empty:
        return list(columns or [])
    newest = hours[-1]
    names = source.names(newest)
    recorded = recorded_contract(source.connection, source.feature_key) if source.as_of is None else None
    if not names or (recorded is not None and set(recorded.names) != set(names)):
        raise UserError(
            f"the row of {newest} under the key {source.feature_key} in {database_path(source.connection)} has "
            f"{len(names)} features that are not those of the key; compute it anew with run --overwrite"
        )
    unknown = [column for column in columns or [] if column not in set(names)]
    if unknown:
        raise UserError(
            f"no such feature under the key {source.feature_key} at {newest} in {database_path(source.connection)}: "
            f"{shortened(unknown, _NAMES_SHOWN)}; it has {shortened(names, _NAMES_SHOWN)}"
        )
    return names if columns is None else list(columns)


def _common_names(found: Sequence[_Rows]) -> list[str]:
    """The names that all have, in the order of the first. A key without rows in the range has no say."""
    with_rows = [rows for rows in found if len(rows.hours)] or found[:1]
    every = dict.fromkeys(name for rows in with_rows for name in rows.names)
    lacking = {
        f"{rows.source.feature_key}{rows.market and f' of {rows.market}'}": [
            name for name in every if name not in set(rows.names)
        ]
        for rows in with_rows
    }
    if any(lacking.values()):
        differences = "; ".join(
            f"{place} lacks {shortened(names, _NAMES_SHOWN)}" for place, names in lacking.items() if names
        )
        raise UserError(f"the keys have different features: {differences}. Choose those that all have with columns")
    return with_rows[0].names


def _values(found: Sequence[_Rows], names: list[str], dtype: Dtype) -> np.ndarray:
    """The values, rows x names; each connection is closed after its last row, which frees its memory."""
    ends = np.cumsum([len(rows.hours) for rows in found])
    values = np.full((len(names), ends[-1]), np.nan, dtype)
    for position, (rows, end) in enumerate(zip(found, ends, strict=True)):
        parse_values(rows.source, rows.hours, names, values[:, end - len(rows.hours) : end])
        connection = rows.source.connection
        if all(later.source.connection is not connection for later in found[position + 1 :]):
            connection.close()
    return values.T


def _index(found: Sequence[_Rows], by_market: bool, by_key: bool) -> pd.Index:
    if not by_market and not by_key:
        return found[0].hours
    lengths = [len(rows.hours) for rows in found]
    markets = np.repeat(np.array([rows.market for rows in found], dtype=object), lengths)
    keys = np.repeat(np.array([rows.source.feature_key for rows in found], dtype=object), lengths)
    hours = found[0].hours.append([rows.hours for rows in found[1:]])
    if by_market and by_key:
        return pd.MultiIndex.from_arrays([markets, keys, hours], names=["market", "feature_key", "ts"])
    outer, name = (markets, "market") if by_market else (keys, "feature_key")
    return pd.MultiIndex.from_arrays([outer, hours], names=[name, "ts"])
