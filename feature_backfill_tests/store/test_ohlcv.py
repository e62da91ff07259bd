from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import pytest

from feature_backfill.errors import UserError
from feature_backfill.store.ohlcv import OHLCV_COLUMNS, ohlcv_extent, ohlcv_hours, read_ohlcv, upsert_ohlcv

HOURS = pd.DatetimeIndex(pd.date_range("2024-01-01", periods=3, freq="h", unit="us"), freq=None)
ODD_NAME = 'btc "1h".perp; DROP'
COLUMNS = "timestamp TIMESTAMP, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE"


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Kolkata'")
        yield connection


def rows(hours: pd.DatetimeIndex = HOURS, close: float = 10.0) -> pd.DataFrame:
    values = {"open": 10.0, "high": 11.0, "low": 9.0, "close": close, "volume": 5.5}
    return pd.DataFrame({"timestamp": hours, **values})


def counts(connection: duckdb.DuckDBPyConnection, table: str, ohlcv: pd.DataFrame) -> tuple[int, int, int]:
    upserted = upsert_ohlcv(connection, table, ohlcv)
    return upserted.new, upserted.changed, upserted.same


@pytest.mark.parametrize("table", ["ohlcv", ODD_NAME])
def test_what_was_written_is_read(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    upsert_ohlcv(connection, table, rows())
    read = read_ohlcv(connection, table)
    pd.testing.assert_frame_equal(read, rows(), check_exact=True)
    assert read.dtypes.to_dict() == {
        "timestamp": "datetime64[us]",
        **dict.fromkeys(OHLCV_COLUMNS[1:], np.dtype("float64")),
    }


def test_bounds_are_inclusive_and_order_is_time(connection: duckdb.DuckDBPyConnection) -> None:
    upsert_ohlcv(connection, "ohlcv", rows(HOURS[::-1]))
    assert list(read_ohlcv(connection, "ohlcv")["timestamp"]) == list(HOURS)
    assert list(read_ohlcv(connection, "ohlcv", HOURS[1], HOURS[1])["timestamp"]) == [HOURS[1]]
    assert list(read_ohlcv(connection, "ohlcv", start=HOURS[1])["timestamp"]) == list(HOURS[1:])
    assert list(ohlcv_hours(connection, "ohlcv", end=HOURS[1])) == list(HOURS[:2])
    assert read_ohlcv(connection, "ohlcv", start=HOURS[2] + pd.Timedelta(hours=1)).empty


@pytest.mark.parametrize("sql_type", ["TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMPTZ"])
def test_every_timestamp_type_is_read_as_utc(connection: duckdb.DuckDBPyConnection, sql_type: str) -> None:
    connection.execute(
        f"CREATE TABLE ohlcv (TimeStamp {sql_type}, Open INT, HIGH FLOAT, low DECIMAL(9, 2), close HUGEINT, volume INT)"
    )
    stamp = "2024-01-01 02:00:00+02:00" if sql_type == "TIMESTAMPTZ" else "2024-01-01 00:00:00"
    connection.execute("INSERT INTO ohlcv VALUES (?, 10, 11, 9, 10, 5)", [stamp])
    expected = rows(HOURS[:1]).assign(volume=5.0)
    pd.testing.assert_frame_equal(read_ohlcv(connection, "ohlcv", HOURS[0], HOURS[0]), expected)
    pd.testing.assert_index_equal(ohlcv_hours(connection, "ohlcv", HOURS[0], HOURS[0]), HOURS[:1])
    assert ohlcv_extent(connection, "ohlcv") == (HOURS[0], HOURS[0])


def test_text_is_read_as_numbers_and_no_number_as_nan(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE TABLE ohlcv (timestamp TIMESTAMP, open TEXT, high TEXT, low TEXT, close TEXT, volume TEXT)"
    )
    connection.execute("INSERT INTO ohlcv VALUES (?, '10.5', 'n/a', '', NULL, '1e3')", [HOURS[0]])
    values = read_ohlcv(connection, "ohlcv").iloc[0, 1:].to_numpy("float64")
    np.testing.assert_array_equal(values, [10.5, np.nan, np.nan, np.nan, 1000.0])


def test_hours_are_distinct_whole_hours(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"CREATE TABLE ohlcv ({COLUMNS})")
    stamps = [
        HOURS[2],
        HOURS[0],
        HOURS[0],
        HOURS[1] + pd.Timedelta(minutes=30),
        None,
        "infinity",
        "2024-01-01 05:00:01",
    ]
    connection.executemany("INSERT INTO ohlcv VALUES (?, 10, 11, 9, 10, 5)", [[stamp] for stamp in stamps])
    pd.testing.assert_index_equal(ohlcv_hours(connection, "ohlcv"), HOURS[[0, 2]])
    assert ohlcv_extent(connection, "ohlcv") == (HOURS[0], HOURS[2])
    assert len(read_ohlcv(connection, "ohlcv")) == 5


def test_an_empty_table_has_no_extent(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"CREATE TABLE ohlcv ({COLUMNS})")
    assert ohlcv_extent(connection, "ohlcv") is None
    pd.testing.assert_index_equal(ohlcv_hours(connection, "ohlcv"), HOURS[:0])
    pd.testing.assert_frame_equal(read_ohlcv(connection, "ohlcv"), rows(HOURS[:0]).iloc[:0])


def test_a_view_is_read(connection: duckdb.DuckDBPyConnection) -> None:
    upsert_ohlcv(connection, "ohlcv", rows())
    connection.execute("CREATE VIEW recent AS FROM ohlcv WHERE timestamp > '2024-01-01'")
    assert len(read_ohlcv(connection, "recent")) == 2


def test_a_missing_table_is_an_error_that_lists_the_others(connection: duckdb.DuckDBPyConnection) -> None:
    upsert_ohlcv(connection, "ohlcv_btc", rows())
    for read in (read_ohlcv, ohlcv_hours, ohlcv_extent):
        with pytest.raises(UserError, match=r"no table ohlcv_eth .*ohlcv_btc"):
            read(connection, "ohlcv_eth")


def test_a_missing_column_is_an_error_that_lists_the_others(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TABLE ohlcv (ts TIMESTAMP, open DOUBLE, high DOUBLE, low DOUBLE, Close DOUBLE)")
    with pytest.raises(UserError, match=r"lacks timestamp, volume; it has ts, open, high, low, Close$"):
        read_ohlcv(connection, "ohlcv")


@pytest.mark.parametrize("sql_type", ["DATE", "VARCHAR", "BIGINT"])
def test_another_stamp_type_is_an_error(connection: duckdb.DuckDBPyConnection, sql_type: str) -> None:
    connection.execute(f"CREATE TABLE ohlcv ({COLUMNS.replace('TIMESTAMP', sql_type)})")
    with pytest.raises(UserError, match=f"timestamp of table ohlcv .* is {sql_type}; it must be TIMESTAMP"):
        read_ohlcv(connection, "ohlcv")


def test_upsert_creates_a_table_with_a_key(connection: duckdb.DuckDBPyConnection) -> None:
    upsert_ohlcv(connection, ODD_NAME, rows())
    constraints = connection.execute("SELECT constraint_text FROM duckdb_constraints()").fetchall()
    assert ('PRIMARY KEY("timestamp")',) in constraints


@pytest.mark.parametrize("key", ["", " PRIMARY KEY"])
@pytest.mark.parametrize("sql_type", ["TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_NS", "TIMESTAMPTZ"])
def test_upsert_counts(connection: duckdb.DuckDBPyConnection, sql_type: str, key: str) -> None:
    connection.execute(f"CREATE TABLE ohlcv ({COLUMNS.replace('TIMESTAMP', sql_type + key)})")
    assert counts(connection, "ohlcv", rows(HOURS[:2])) == (2, 0, 0)
    assert counts(connection, "ohlcv", rows(HOURS[:2])) == (0, 0, 2)
    mixed = pd.concat([rows(HOURS[2:]), rows(HOURS[1:2], close=10.25), rows(HOURS[:1])])
    upserted = upsert_ohlcv(connection, "ohlcv", mixed)
    assert (upserted.new, upserted.changed, upserted.same) == (1, 1, 1)
    pd.testing.assert_index_equal(upserted.hours, HOURS[1:])
    expected = mixed.sort_values("timestamp", ignore_index=True)
    pd.testing.assert_frame_equal(read_ohlcv(connection, "ohlcv"), expected, check_exact=True)


def test_upsert_of_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    upserted = upsert_ohlcv(connection, "ohlcv", rows().iloc[:0])
    assert (upserted.new, upserted.changed, upserted.same, len(upserted.hours)) == (0, 0, 0, 0)


def test_upsert_mends_stored_rows_that_disagree(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"CREATE TABLE ohlcv ({COLUMNS})")
    for close in (10.0, 10.5):
        connection.execute("INSERT INTO ohlcv VALUES (?, 10, 11, 9, ?, 5.5)", [HOURS[0], close])
    assert counts(connection, "ohlcv", rows(HOURS[:1])) == (0, 1, 0)
    assert set(read_ohlcv(connection, "ohlcv")["close"]) == {10.0}


def test_upsert_leaves_further_columns_alone(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE TABLE ohlcv (exchange TEXT DEFAULT 'file', Volume DOUBLE, close DOUBLE, low DOUBLE, high DOUBLE,"
        " OPEN DOUBLE, Timestamp TIMESTAMP)"
    )
    connection.execute("INSERT INTO ohlcv VALUES ('binance', 1, 10, 9, 11, 10, ?)", [HOURS[0]])
    assert counts(connection, "ohlcv", rows(HOURS[:2])) == (1, 1, 0)
    assert connection.execute("SELECT exchange, volume FROM ohlcv ORDER BY timestamp").fetchall() == [
        ("binance", 5.5),
        ("file", 5.5),
    ]


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        (f"CREATE TABLE ohlcv ({COLUMNS}, trades INTEGER NOT NULL)", "demands values of trades"),
        (f"CREATE TABLE base ({COLUMNS}); CREATE VIEW ohlcv AS FROM base", "does not take the rows.*base table"),
        (
            f"CREATE TABLE ohlcv ({COLUMNS.replace('close DOUBLE', 'close FLOAT')})",
            "stores close FLOAT; an import writes DOUBLE",
        ),
        ("CREATE TABLE ohlcv (timestamp TIMESTAMP, open DOUBLE)", "lacks high, low, close, volume"),
    ],
)
def test_a_table_that_cannot_take_the_rows_is_left_as_it_was(
    connection: duckdb.DuckDBPyConnection, statement: str, complaint: str
) -> None:
    connection.execute(statement)
    with pytest.raises(UserError, match=complaint):
        upsert_ohlcv(connection, "ohlcv", rows())
    assert connection.execute("SELECT count(*) FROM ohlcv").fetchall() == [(0,)]


def test_a_failed_upsert_changes_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"CREATE TABLE ohlcv ({COLUMNS}, CHECK (open < 20))")
    upsert_ohlcv(connection, "ohlcv", rows(HOURS[:1]))
    with pytest.raises(UserError, match="CHECK constraint"):
        upsert_ohlcv(connection, "ohlcv", pd.concat([rows(HOURS[:1], close=10.5), rows(HOURS[1:]).assign(open=20.0)]))
    pd.testing.assert_frame_equal(read_ohlcv(connection, "ohlcv"), rows(HOURS[:1]))


def test_zoned_stamps_are_written_at_their_moment(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"CREATE TABLE ohlcv ({COLUMNS.replace('TIMESTAMP', 'TIMESTAMPTZ')})")
    upsert_ohlcv(connection, "ohlcv", rows(HOURS[:1]))
    connection.execute("SET TimeZone = 'UTC'")
    assert connection.execute("SELECT timestamp FROM ohlcv").fetchall() == [(datetime(2024, 1, 1, tzinfo=UTC),)]
