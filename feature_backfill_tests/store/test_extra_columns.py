"""Imports into a user's table that has more columns than OHLCV."""

import duckdb
import pandas as pd
import pytest

from feature_backfill.cli import main
from feature_backfill.sources.synthetic import synthetic_ohlcv

FIRST, STORED, HOURS = pd.Timestamp("2025-01-01"), 30, 40
OHLCV = "open, high, low, close, volume"


@pytest.fixture
def folder(tmp_path, monkeypatch, dagster_home):
    """hours.csv with 40 hours; table t of o.duckdb, in which extend() stores the first 30."""
    monkeypatch.chdir(tmp_path)
    synthetic_ohlcv(FIRST, HOURS).to_csv("hours.csv", index=False)
    return tmp_path


def extend(columns: str, values: str) -> None:
    """Store the first hours with further columns of the table."""
    with duckdb.connect("o.duckdb") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"CREATE TABLE t (timestamp TIMESTAMP, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE, "
            f"{columns})"
        )
        connection.execute(
            f"INSERT INTO t SELECT timestamp, {OHLCV}, {values} FROM 'hours.csv' ORDER BY timestamp LIMIT {STORED}"
        )


def imported() -> int:
    return main(["import-ohlcv", "hours.csv", "--duckdb", "o.duckdb", "--table", "t"])


def rows(what: str) -> list[tuple[object, ...]]:
    with duckdb.connect("o.duckdb", read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(f"SELECT {what} FROM t").fetchall()


@pytest.mark.parametrize(
    ("sql_type", "value"),
    [
        ("TIMESTAMP NOT NULL", "timestamp + INTERVAL 1 HOUR"),
        ("TIMESTAMP_NS", "timestamp + INTERVAL 1 HOUR"),
        ("TIMESTAMPTZ", "(timestamp + INTERVAL 1 HOUR) AT TIME ZONE 'UTC'"),
    ],
)
def test_a_closing_time_is_filled(folder, capsys, sql_type, value):
    extend(f"snapshot_time {sql_type}", value)
    assert imported() == 0
    output = capsys.readouterr().out
    assert "10 rows new, 0 changed, 30 the same" in output
    assert "left NULL" not in output
    assert rows(f"count(*), bool_and(snapshot_time = {value})") == [(HOURS, True)]


def test_a_time_that_is_no_closing_time_is_left_empty_and_named(folder, capsys):
    extend(
        "snapshot_time TIMESTAMP, note TEXT",
        "timestamp + INTERVAL (59 + minute(timestamp + INTERVAL 1 HOUR)) MINUTE, 'x'",
    )
    assert imported() == 0
    assert "further columns, left NULL in the new rows: snapshot_time, note" in capsys.readouterr().out
    assert rows("count(*), count(snapshot_time), count(note)") == [(HOURS, STORED, STORED)]
    assert imported() == 0
    assert "left NULL" not in capsys.readouterr().out


def test_one_row_that_differs_decides(folder, capsys):
    extend("snapshot_time TIMESTAMP", f"CASE timestamp WHEN '{FIRST}' THEN NULL ELSE timestamp + INTERVAL 1 HOUR END")
    assert imported() == 0
    assert "left NULL in the new rows: snapshot_time" in capsys.readouterr().out


def test_a_default_is_used(folder, capsys):
    extend("source TEXT NOT NULL DEFAULT 'file'", "'mine'")
    assert imported() == 0
    assert "left NULL" not in capsys.readouterr().out
    assert sorted(rows("DISTINCT source")) == [("file",), ("mine",)]


def test_a_column_that_demands_a_value_is_refused_before_anything_is_written(folder, capsys):
    extend("symbol TEXT NOT NULL", "'BTCUSDT'")
    assert imported() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "demands values of symbol, which files of OHLCV do not have; give the column a default" in line
    assert rows("count(*)") == [(STORED,)]
