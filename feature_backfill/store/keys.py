"""The feature keys of a database: how many rows each has, and what a row of it is."""

from dataclasses import dataclass

import duckdb
import pandas as pd

from feature_backfill.contracts import KeyContract
from feature_backfill.store.contracts import known_contract
from feature_backfill.store.features import TABLE, has_features_table


@dataclass(frozen=True)
class StoredKey:
    """A feature key and its rows.

    hours: number of rows. first, last: hours, UTC-naive. json_bytes: length of the rows' JSON as text.
    """

    key: str
    hours: int
    first: pd.Timestamp
    last: pd.Timestamp
    json_bytes: int
    contract: KeyContract


def stored_keys(connection: duckdb.DuckDBPyConnection) -> list[StoredKey]:
    """The keys that have rows, by name; none without a features table. Reads every row once."""
    if not has_features_table(connection):
        return []
    rows = connection.execute(
        "SELECT feature_key, count(*), min(ts), max(ts), sum(strlen(CAST(features AS VARCHAR)))"
        f" FROM {TABLE} GROUP BY feature_key ORDER BY feature_key"
    ).fetchall()
    return [
        StoredKey(key, hours, pd.Timestamp(first), pd.Timestamp(last), int(size), _contract(connection, key))
        for key, hours, first, last, size in rows
    ]


def _contract(connection: duckdb.DuckDBPyConnection, key: str) -> KeyContract:
    contract = known_contract(connection, key)
    assert contract is not None, "the key has rows"
    return contract
