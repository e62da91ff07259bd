from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from feature_backfill.automation.changes import target_state
from feature_backfill.config import Lake
from feature_backfill.errors import UserError
from feature_backfill.store.bars import bars_table, read_bars, write_bars
from feature_backfill.store.database import connect
from feature_backfill_tests.targets import FILE_OR_LAKE, new_target

STAMPS = pd.date_range("2025-01-01", periods=6, freq="4h", unit="us")


@pytest.fixture(params=FILE_OR_LAKE)
def path(request: pytest.FixtureRequest) -> Path | Lake:
    return new_target(request)


@pytest.fixture
def connection(path: Path | Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(path, read_only=False) as connection:
        yield connection


def bars(stamps: pd.DatetimeIndex, close: float = 10.0) -> pd.DataFrame:
    return pd.DataFrame(
        {"timestamp": stamps, "open": 10.0, "high": 11.0, "low": 0.1 + 0.2, "close": close, "volume": 0.0}
    )


def test_bars_table() -> None:
    assert [bars_table(timeframe) for timeframe in ("4H", "12H", "1D")] == ["bars_4h", "bars_12h", "bars_1d"]


def test_what_was_written_is_read(connection: duckdb.DuckDBPyConnection) -> None:
    assert write_bars(connection, "4H", STAMPS[0], STAMPS[-1], bars(STAMPS)) == 6
    pd.testing.assert_frame_equal(read_bars(connection, "4H", STAMPS[0], STAMPS[-1]), bars(STAMPS), check_exact=True)
    inner = read_bars(connection, "4H", STAMPS[1], STAMPS[2])
    assert list(inner["timestamp"]) == list(STAMPS[1:3])


def test_only_the_range_is_replaced(connection: duckdb.DuckDBPyConnection) -> None:
    write_bars(connection, "4H", STAMPS[0], STAMPS[-1], bars(STAMPS))
    write_bars(connection, "1D", STAMPS[0], STAMPS[0], bars(STAMPS[:1]))
    assert write_bars(connection, "4H", STAMPS[1], STAMPS[3], bars(STAMPS[[1, 3]], close=10.5)) == 2
    stored = read_bars(connection, "4H", STAMPS[0], STAMPS[-1])
    assert list(stored["timestamp"]) == list(STAMPS[[0, 1, 3, 4, 5]])
    assert list(stored["close"]) == [10.0, 10.5, 10.5, 10.0, 10.0]
    assert len(read_bars(connection, "1D", STAMPS[0], STAMPS[-1])) == 1


def test_no_bars_empty_the_range(connection: duckdb.DuckDBPyConnection) -> None:
    write_bars(connection, "4H", STAMPS[0], STAMPS[-1], bars(STAMPS))
    assert write_bars(connection, "4H", STAMPS[2], STAMPS[-1], bars(STAMPS[:0])) == 0
    assert list(read_bars(connection, "4H", STAMPS[0], STAMPS[-1])["timestamp"]) == list(STAMPS[:2])


def test_equal_bars_are_not_written_again(path: Path | Lake) -> None:
    shuffled = bars(STAMPS).iloc[::-1].assign(timestamp=lambda rows: rows["timestamp"].astype("datetime64[ns]"))
    with connect(path, read_only=False) as connection:
        write_bars(connection, "4H", STAMPS[0], STAMPS[-1], bars(STAMPS))
    before = target_state(path)
    with connect(path, read_only=False) as connection:
        assert write_bars(connection, "4H", STAMPS[0], STAMPS[-1], shuffled) == 0
        assert write_bars(connection, "4H", STAMPS[1], STAMPS[2], bars(STAMPS[1:3])) == 0
    assert target_state(path) == before


def test_a_failed_write_changes_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    write_bars(connection, "4H", STAMPS[0], STAMPS[-1], bars(STAMPS))
    twice = bars(STAMPS[[0, 0]], close=10.5)
    with pytest.raises(duckdb.ConstraintException):
        write_bars(connection, "4H", STAMPS[0], STAMPS[-1], twice)
    pd.testing.assert_frame_equal(read_bars(connection, "4H", STAMPS[0], STAMPS[-1]), bars(STAMPS))


def test_bars_outside_the_range_are_refused(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(ValueError, match="4H bars outside"):
        write_bars(connection, "4H", STAMPS[1], STAMPS[-1], bars(STAMPS))


def test_without_a_table_there_are_no_bars(connection: duckdb.DuckDBPyConnection) -> None:
    read = read_bars(connection, "4H", STAMPS[0], STAMPS[-1])
    assert read.empty
    assert read.dtypes.to_dict() == bars(STAMPS).dtypes.to_dict()


def test_a_table_of_another_make_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TABLE bars_4h (timestamp TIMESTAMP, price DOUBLE)")
    with pytest.raises(UserError, match=r"table bars_4h .*column open is missing.*column price is not expected"):
        write_bars(connection, "4H", STAMPS[0], STAMPS[-1], bars(STAMPS))
