"""OHLCV that is fetched again and again: when rows were seen, what was restated, what is absent."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from feature_backfill.hours import HOUR, hour_range
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill.store.database import connect
from feature_backfill.store.fetched import absent_hours, note_absent, restated_rows, store_fetched
from feature_backfill.store.ohlcv import read_ohlcv, upsert_ohlcv

FIRST = pd.Timestamp("2025-01-01")
ROWS = synthetic_ohlcv(FIRST, 5, seed=1)
NOON, LATER = pd.Timestamp("2025-01-02 12:00:01.5"), pd.Timestamp("2025-01-02 13:00")


@pytest.fixture
def connection(tmp_path: Path):
    with connect(tmp_path / "ohlcv.duckdb", read_only=False) as connection:
        yield connection


def seen(connection, table="t"):
    return connection.execute(f"SELECT first_seen, last_seen FROM {table} ORDER BY timestamp").df().values.tolist()


def test_rows_know_when_they_were_first_and_last_seen(connection):
    first = store_fetched(connection, "t", ROWS[:3], NOON)
    assert (list(first.new), list(first.restated), first.same) == (list(ROWS["timestamp"][:3]), [], 0)
    second = store_fetched(connection, "t", ROWS[2:], LATER)
    assert (list(second.new), list(second.restated), second.same) == (list(ROWS["timestamp"][3:]), [], 1)
    assert seen(connection) == [[NOON, NOON], [NOON, NOON], [NOON, LATER], [LATER, LATER], [LATER, LATER]]
    pd.testing.assert_frame_equal(read_ohlcv(connection, "t"), ROWS)


def test_replaced_values_are_kept_and_their_hours_returned(connection):
    store_fetched(connection, "t", ROWS, NOON)
    changed = ROWS.assign(volume=ROWS["volume"].mask(ROWS.index == 2, 7.0))
    stored = store_fetched(connection, "t", changed, LATER)
    assert (list(stored.new), list(stored.restated), stored.same) == ([], [FIRST + 2 * HOUR], 4)
    pd.testing.assert_frame_equal(read_ohlcv(connection, "t"), changed)
    (row,) = restated_rows(connection, "t").itertuples(index=False)
    assert row == (*ROWS.iloc[2], NOON, NOON, LATER)
    assert seen(connection)[2] == [NOON, LATER]
    assert restated_rows(connection, "t", since=LATER + HOUR).empty
    assert restated_rows(connection, "another").empty


def test_a_table_that_an_import_filled_gets_the_columns(connection):
    upsert_ohlcv(connection, "t", ROWS[:3])
    store_fetched(connection, "t", ROWS[2:], NOON)
    assert pd.isna(seen(connection)[1]).all()
    assert seen(connection)[2:] == [[NOON, NOON]] * 3


def test_a_long_table_without_a_key_that_somebody_else_filled_gets_the_columns(tmp_path):
    rows = synthetic_ohlcv(FIRST, 2200, seed=1)
    with duckdb.connect(tmp_path / "theirs.duckdb") as connection:
        connection.register("theirs", rows[:-10])
        connection.execute("CREATE TABLE t AS FROM theirs")
    with connect(tmp_path / "theirs.duckdb", read_only=False) as connection:
        stored = store_fetched(connection, "t", rows[-50:], NOON)
        assert (len(stored.new), stored.same) == (10, 40)
        pd.testing.assert_frame_equal(read_ohlcv(connection, "t"), rows)
        assert connection.execute("SELECT count(first_seen) FROM t").fetchone() == (50,)


def test_an_hour_is_absent_for_good_after_a_day_in_vain_and_no_longer_once_it_comes(connection):
    assert absent_hours(connection, "t").empty
    hours = hour_range(FIRST, FIRST + 2 * HOUR)
    note_absent(connection, "t", hours, NOON)
    note_absent(connection, "t", hours[1:], NOON + 23 * HOUR)
    assert not absent_hours(connection, "t")["for_good"].any()
    note_absent(connection, "t", hours[2:], NOON + 24 * HOUR)
    assert list(absent_hours(connection, "t")["for_good"]) == [False, False, True]
    store_fetched(connection, "t", ROWS[:2], LATER)
    assert list(absent_hours(connection, "t")["timestamp"]) == [FIRST + 2 * HOUR]
    assert absent_hours(connection, "another").empty
