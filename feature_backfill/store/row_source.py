"""The rows of a feature key as SQL sees them: those that are stored, or those that stood at an earlier time."""

from dataclasses import dataclass, replace

import duckdb
import pandas as pd

from feature_backfill.store.database import scalar
from feature_backfill.store.features import TABLE
from feature_backfill.store.replaced import TABLE as REPLACED
from feature_backfill.store.replaced import has_replaced_table

_MATCHING = """feature_key = $feature_key
    AND ts BETWEEN coalesce(CAST($start AS TIMESTAMP), TIMESTAMP '-infinity')
               AND coalesce(CAST($end AS TIMESTAMP), TIMESTAMP 'infinity')"""

_STORED = f"(SELECT ts, features FROM {TABLE} WHERE {_MATCHING})"

# A row without created_at was always there.
_CREATED = "coalesce(created_at <= $as_of, true)"
_STORED_BY_THEN = f"(SELECT ts, features FROM {TABLE} WHERE {_MATCHING} AND {_CREATED})"
_AS_OF = f"""(
    SELECT ts, features FROM (
        SELECT ts, features, created_at, true AS stored FROM {TABLE} WHERE {_MATCHING} AND {_CREATED}
        UNION ALL
        SELECT ts, features, created_at, false FROM {REPLACED}
        WHERE {_MATCHING} AND {_CREATED} AND replaced_at > $as_of
    )
    QUALIFY row_number() OVER (PARTITION BY ts ORDER BY stored DESC, created_at DESC NULLS LAST) = 1
)"""


@dataclass(frozen=True)
class RowSource:
    """The rows of a key. as_of: UTC-naive, for the rows as they stood then; None for those that are stored now."""

    connection: duckdb.DuckDBPyConnection
    feature_key: str
    as_of: pd.Timestamp | None = None

    def on(self, cursor: duckdb.DuckDBPyConnection) -> "RowSource":
        """The same rows over another connection to the database."""
        return replace(self, connection=cursor)

    def select(
        self,
        what: str,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        then: str = "",
        **parameters: object,
    ) -> duckdb.DuckDBPyRelation:
        """The relation `SELECT what FROM rows`, of the rows (ts, features) from start to end, both included.

        then: SQL that follows. parameters: values of the $names in what and then.
        """
        given = {"feature_key": self.feature_key, "start": start, "end": end, **parameters}
        if self.as_of is not None:
            given["as_of"] = self.as_of
        return self.connection.sql(f"SELECT {what} FROM {self._rows()} {then}", params=given)

    def hours(self, start: pd.Timestamp | None, end: pd.Timestamp | None) -> pd.DatetimeIndex:
        """The hours from start to end that have a row, ascending, named ts."""
        stamps = self.select("ts", start, end, "ORDER BY ts").df()["ts"]
        return pd.DatetimeIndex(stamps.to_numpy("datetime64[us]"), name="ts")

    def names(self, hour: pd.Timestamp) -> list[str]:
        """The features of the row of an hour that has one, in its order."""
        ((names,),) = self.select("json_keys(features)", hour, hour).fetchall()
        return list(names)

    def _rows(self) -> str:
        if self.as_of is None:
            return _STORED
        return _AS_OF if has_replaced_table(self.connection) else _STORED_BY_THEN


def keys_with_rows(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The keys that have or had rows, by name. The features table must exist."""
    tables = [TABLE, REPLACED] if has_replaced_table(connection) else [TABLE]
    every = " UNION ".join(f"SELECT feature_key FROM {table}" for table in tables)
    return list(scalar(connection, f"SELECT list(feature_key ORDER BY feature_key) FROM ({every})") or [])
