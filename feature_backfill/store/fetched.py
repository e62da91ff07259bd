"""OHLCV that is fetched again and again: when each row was seen, what was restated, and what an exchange does not have.

Besides the table of the rows, two small tables lie in its database: `ohlcv_restated` keeps the values that were
replaced, `ohlcv_absent` the hours that were asked for in vain. Both serve every OHLCV table of the database.
"""

from contextlib import suppress
from dataclasses import dataclass

import duckdb
import pandas as pd

from feature_backfill.engine.bars import COLUMNS
from feature_backfill.store.database import transaction
from feature_backfill.store.ohlcv import INCOMING, differs, incoming_rows, same_hour, upsert_incoming
from feature_backfill.store.schema import describe_table, has_table
from feature_backfill.store.sql import quoted

ASKED_FOR = pd.Timedelta(days=1)
"""An hour that was asked for in vain for so long is absent for good."""

_SEEN = ("first_seen", "last_seen")
_RESTATED, _ABSENT = "ohlcv_restated", "ohlcv_absent"


@dataclass(frozen=True)
class Stored:
    """What became of fetched rows: hours that are new, and hours whose values were replaced; UTC-naive, ascending.

    same: the number of rows that were stored with the same values.
    """

    new: pd.DatetimeIndex
    restated: pd.DatetimeIndex
    same: int


def store_fetched(connection: duckdb.DuckDBPyConnection, table: str, ohlcv: pd.DataFrame, seen: pd.Timestamp) -> Stored:
    """Insert or update fetched rows in one transaction, and keep the values that are replaced in `ohlcv_restated`.

    The table's columns first_seen and last_seen (UTC) are made before if they are missing, and set. The hours are no
    longer absent.

    ohlcv: rows x (timestamp, open, high, low, close, volume), UTC-naive and distinct stamps. seen: when the rows were
    fetched, UTC-naive.

    Raises UserError if the table cannot take the rows.
    """
    if has_table(connection, table):
        with suppress(duckdb.CatalogException):  # of a view, which does not take the rows either
            _add_seen_columns(connection, table)
    with incoming_rows(connection, table, ohlcv):
        _create_tables(connection)
        _add_seen_columns(connection, table, checkpoint=False)
        match = same_hour(connection, table)
        restated = _keep_replaced(connection, table, match, seen)
        done = upsert_incoming(connection, table)
        connection.execute(
            f"UPDATE {quoted(table)} AS stored SET first_seen = coalesce(stored.first_seen, $seen), last_seen = $seen"
            f" FROM {INCOMING} AS incoming WHERE {match}",
            {"seen": seen},
        )
        connection.execute(
            f"DELETE FROM {_ABSENT} WHERE ohlcv_table = ? AND timestamp IN (SELECT timestamp FROM {INCOMING})", [table]
        )
    return Stored(done.hours.difference(restated), restated, done.same)


def note_absent(
    connection: duckdb.DuckDBPyConnection, table: str, hours: pd.DatetimeIndex, asked: pd.Timestamp
) -> None:
    """Remember that hours were asked for and that the exchange does not have them. asked: when, UTC-naive."""
    with transaction(connection):
        _create_tables(connection)
        connection.execute(
            f"INSERT INTO {_ABSENT} SELECT $table, unnest($hours), $asked, $asked"
            " ON CONFLICT DO UPDATE SET last_asked = excluded.last_asked",
            {"table": table, "hours": hours.to_pydatetime().tolist(), "asked": asked},
        )


def absent_hours(connection: duckdb.DuckDBPyConnection, table: str) -> pd.DataFrame:
    """The hours that a table's exchange was asked for in vain.

    Returns hours x (timestamp, first_asked, last_asked, for_good), UTC-naive, in order of time. for_good: it was asked
    for ASKED_FOR long, and is not asked for again.
    """
    if not has_table(connection, _ABSENT):
        return pd.DataFrame(columns=["timestamp", "first_asked", "last_asked", "for_good"]).astype(
            {"timestamp": "datetime64[us]", "for_good": bool}
        )
    return connection.execute(
        f"SELECT timestamp, first_asked, last_asked, last_asked - first_asked >= $asked_for AS for_good"
        f" FROM {_ABSENT} WHERE ohlcv_table = $table ORDER BY timestamp",
        {"table": table, "asked_for": ASKED_FOR.to_pytimedelta()},
    ).df()


def restated_rows(connection: duckdb.DuckDBPyConnection, table: str, since: pd.Timestamp | None = None) -> pd.DataFrame:
    """The values of a table that were replaced, and when.

    since: only what was replaced then or later, UTC-naive.
    Returns rows x (timestamp, open, high, low, close, volume, first_seen, last_seen, replaced_at), in order of time.
    """
    columns = ("timestamp", *COLUMNS, *_SEEN, "replaced_at")
    if not has_table(connection, _RESTATED):
        return pd.DataFrame(columns=list(columns)).astype({"timestamp": "datetime64[us]"})
    return connection.execute(
        f"SELECT {', '.join(columns)} FROM {_RESTATED} WHERE ohlcv_table = $table"
        " AND replaced_at >= coalesce(CAST($since AS TIMESTAMP), TIMESTAMP '-infinity')"
        " ORDER BY replaced_at, timestamp",
        {"table": table, "since": since},
    ).df()


def _add_seen_columns(connection: duckdb.DuckDBPyConnection, table: str, checkpoint: bool = True) -> None:
    """Add the columns that say when a row was seen, if they lack.

    checkpoint: whether to write the table out then, outside of a transaction. Without that, DuckDB 2.0 does not commit
    rows that are added to a table of more than 2,048 rows without a key (*Corrupted segment tree*).
    """
    present = {column.lower() for column in describe_table(connection, table)}
    lacking = [column for column in _SEEN if column not in present]
    for column in lacking:
        connection.execute(f"ALTER TABLE {quoted(table)} ADD COLUMN {column} TIMESTAMP")
    if lacking and checkpoint:
        connection.execute("CHECKPOINT")


def _keep_replaced(
    connection: duckdb.DuckDBPyConnection, table: str, match: str, seen: pd.Timestamp
) -> pd.DatetimeIndex:
    """Copy the stored rows that the incoming ones will replace. Returns their hours, ascending."""
    values = ", ".join(f"stored.{column}" for column in (*COLUMNS, *_SEEN))
    replaced = f"{INCOMING} AS incoming JOIN {quoted(table)} AS stored ON {match} WHERE {differs()}"
    connection.execute(
        f"INSERT INTO {_RESTATED} SELECT $table, incoming.timestamp, {values}, $seen FROM {replaced}",
        {"table": table, "seen": seen},
    )
    hours = connection.execute(f"SELECT DISTINCT incoming.timestamp AS hour FROM {replaced} ORDER BY hour").df()["hour"]
    return pd.DatetimeIndex(hours.to_numpy("datetime64[us]"))


def _create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    values = ", ".join(f"{column} DOUBLE" for column in COLUMNS)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {_RESTATED} (ohlcv_table TEXT NOT NULL, timestamp TIMESTAMP NOT NULL, {values},"
        " first_seen TIMESTAMP, last_seen TIMESTAMP, replaced_at TIMESTAMP NOT NULL)"
    )
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {_ABSENT} (ohlcv_table TEXT NOT NULL, timestamp TIMESTAMP NOT NULL,"
        " first_asked TIMESTAMP NOT NULL, last_asked TIMESTAMP NOT NULL, PRIMARY KEY (ohlcv_table, timestamp))"
    )
