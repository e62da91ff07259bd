"""The rows of a feature key as SQL sees them: those that are stored, or those that stood at an earlier time."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import duckdb
import pandas as pd

from feature_backfill.errors import UserError
from feature_backfill.store.database import database_path, scalar
from feature_backfill.store.features import TABLE
from feature_backfill.store.replaced import TABLE as REPLACED
from feature_backfill.store.replaced import has_replaced_table

# A row without created_at was always there.
_CREATED = "coalesce(created_at <= $as_of, true)"


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
        bounds = {name: bound for name, bound in (("start", start), ("end", end)) if bound is not None}
        given = {"feature_key": self.feature_key, **bounds, **parameters}
        if self.as_of is not None:
            given["as_of"] = self.as_of
        return self.connection.sql(f"SELECT {what} FROM {self._rows(bounds)} {then}", params=given)

    def hours(self, start: pd.Timestamp | None, end: pd.Timestamp | None) -> pd.DatetimeIndex:
        """The hours from start to end that have a row, ascending, named ts.

        Raises UserError if one has several, which only a lake can have: which of them is meant?
        """
        stamps = self.select("ts", start, end, "ORDER BY ts").df()["ts"]
        hours = pd.DatetimeIndex(stamps.to_numpy("datetime64[us]"), name="ts")
        if not hours.is_unique:
            raise UserError(
                f"{hours[hours.duplicated()][0]} has several rows under the key {self.feature_key} in "
                f"{database_path(self.connection)}; compute it anew with run --overwrite, which leaves one"
            )
        return hours

    def names(self, hour: pd.Timestamp) -> list[str]:
        """The features of the row of an hour that has one, in its order."""
        ((names,),) = self.select("json_keys(features)", hour, hour).fetchall()
        return list(names)

    def _rows(self, bounds: Collection[str]) -> str:
        """The relation as SQL. Bounds stand alone beside the column, so that DuckDB skips row groups by them."""
        compared = {"start": "ts >= $start", "end": "ts <= $end"}
        matching = " AND ".join(["feature_key = $feature_key", *(compared[bound] for bound in bounds)])
        if self.as_of is None:
            return f"(SELECT ts, features FROM {TABLE} WHERE {matching})"
        if not has_replaced_table(self.connection):
            return f"(SELECT ts, features FROM {TABLE} WHERE {matching} AND {_CREATED})"
        return f"""(
            SELECT ts, features FROM (
                SELECT ts, features, created_at, true AS stored FROM {TABLE} WHERE {matching} AND {_CREATED}
                UNION ALL
                SELECT ts, features, created_at, false FROM {REPLACED}
                WHERE {matching} AND {_CREATED} AND replaced_at > $as_of
            )
            QUALIFY row_number() OVER (PARTITION BY ts ORDER BY stored DESC, created_at DESC NULLS LAST) = 1
        )"""


def keys_with_rows(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The keys that have or had rows, by name. The features table must exist."""
    tables = [TABLE, REPLACED] if has_replaced_table(connection) else [TABLE]
    every = " UNION ".join(f"SELECT feature_key FROM {table}" for table in tables)
    return list(scalar(connection, f"SELECT list(feature_key ORDER BY feature_key) FROM ({every})") or [])
