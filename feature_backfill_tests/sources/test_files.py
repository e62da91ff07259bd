"""What is read of CSV and Parquet files: spellings, types, headers, order."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from feature_backfill.sources.files import read_ohlcv_files
from feature_backfill_tests.csv_files import HEADER, SOUND, written

NOW = pd.Timestamp("2024-06-01 13:12")
MIDNIGHT = pd.Timestamp("2024-01-01")


def stamps(path: Path) -> list[pd.Timestamp]:
    rows = read_ohlcv_files([path], NOW)
    assert rows.refused.empty
    return list(rows.ohlcv["timestamp"])


@pytest.mark.parametrize(
    "spelling",
    [
        "2024-01-01 00:00:00+0000",
        "2024-01-01 00:00:00",
        "2024-01-01 00:00:00+00:00",
        "2024-01-01 00:00:00Z",
        "2024-01-01T00:00:00",
        "2024-01-01T00:00:00.000Z",
        "2024-01-01T00:00",
        "2024-01-01 05:30:00+05:30",
        "2023-12-31 22:00:00-02",
        "2024-01-01",
        " 2024-01-01 00:00:00 ",
        '"2024-01-01 00:00:00"',
        "1704067200",
        "1704067200.0",
        "1704067200000",
        "1704067200000000",
        "1704067200000000000",
    ],
)
def test_spellings_of_one_hour(tmp_path: Path, spelling: str) -> None:
    assert stamps(written(tmp_path / "ohlcv.csv", f"{spelling},{SOUND}")) == [MIDNIGHT]


def test_spellings_may_be_mixed(tmp_path: Path) -> None:
    spellings = ["1704067200000", "2024-01-01 01:00", "2024-01-01T02:00:00.000000000Z", "1704078000000000"]
    path = written(tmp_path / "ohlcv.csv", *(f"{spelling},{SOUND}" for spelling in spellings))
    assert stamps(path) == list(pd.date_range(MIDNIGHT, periods=4, freq="h"))


@pytest.mark.parametrize(
    ("sql_type", "value"),
    [
        ("TIMESTAMP", "2024-01-01 00:00:00"),
        ("TIMESTAMP_NS", "2024-01-01 00:00:00"),
        ("TIMESTAMP_MS", "2024-01-01 00:00:00"),
        ("TIMESTAMPTZ", "2024-01-01 02:00:00+02:00"),
        ("DATE", "2024-01-01"),
        ("VARCHAR", "2024-01-01T00:00:00Z"),
        ("INTEGER", "1704067200"),
        ("BIGINT", "1704067200000"),
        ("HUGEINT", "1704067200000000000"),
        ("DOUBLE", "1704067200000000000"),
    ],
)
def test_stamp_types_of_parquet(tmp_path: Path, sql_type: str, value: str) -> None:
    path = tmp_path / "ohlcv.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT CAST('{value}' AS {sql_type}) AS timestamp, 10 AS open, 11::FLOAT AS high,"
            f" 9::DECIMAL(9, 3) AS low, '10.5' AS close, 5.5::DOUBLE AS volume) TO '{path}'"
        )
    assert stamps(path) == [MIDNIGHT]


def test_rows_come_sorted_as_utc_naive_floats(tmp_path: Path) -> None:
    path = written(tmp_path / "ohlcv.csv", f"2024-01-01 01:00,{SOUND}", "2024-01-01 00:00,1,2,1,1.5,0")
    expected = pd.DataFrame(
        {
            "timestamp": pd.date_range(MIDNIGHT, periods=2, freq="h", unit="us"),
            "open": [1.0, 10.0],
            "high": [2.0, 11.0],
            "low": [1.0, 9.0],
            "close": [1.5, 10.5],
            "volume": [0.0, 5.5],
        }
    )
    pd.testing.assert_frame_equal(read_ohlcv_files([path], NOW).ohlcv, expected, check_exact=True)


@pytest.mark.parametrize(
    "header",
    [
        "Timestamp,OPEN,High,low,Close,VOLUME",
        "timestamp, open, high, low, close, volume",
        "Open_Time,open,high,low,close,volume",
        *(f"{alias},open,high,low,close,volume" for alias in ("time", "date", "datetime", "ts", "\ufefftimestamp")),
    ],
)
def test_customary_headers(tmp_path: Path, header: str) -> None:
    assert stamps(written(tmp_path / "ohlcv.csv", f"2024-01-01,{SOUND}", header=header)) == [MIDNIGHT]


def test_other_columns_are_ignored_and_timestamp_goes_before_its_aliases(tmp_path: Path) -> None:
    header = "date,symbol,volume,close,low,high,open,timestamp,trades"
    path = written(tmp_path / "ohlcv.csv", "x,BTC,5.5,10.5,9,11,10,1704067200,", header=header)
    row = read_ohlcv_files([path], NOW).ohlcv.iloc[0]
    assert list(row) == [MIDNIGHT, 10.0, 11.0, 9.0, 10.5, 5.5]


def test_the_last_closed_hour_is_taken(tmp_path: Path) -> None:
    path = written(tmp_path / "ohlcv.csv", f"2024-06-01 12:00,{SOUND}")
    assert stamps(path) == [pd.Timestamp("2024-06-01 12:00")]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_endings_and_blank_lines(tmp_path: Path, newline: str) -> None:
    path = tmp_path / "ohlcv.csv"
    lines = [HEADER, f"2024-01-01 00:00,{SOUND}", "", f"2024-01-01 01:00,{SOUND}", "", ""]
    path.write_bytes(newline.join(lines).encode())
    assert len(stamps(path)) == 2


def test_a_path_is_no_pattern_and_no_partition(tmp_path: Path) -> None:
    folder = tmp_path / "volume=7"
    folder.mkdir()
    path = written(folder / "[ab]*.csv", f"2024-01-01 00:00,{SOUND}")
    written(folder / "a.csv", f"2024-01-01 01:00,{SOUND}")
    assert stamps(path) == [MIDNIGHT]
    assert list(read_ohlcv_files([path], NOW).ohlcv["volume"]) == [5.5]


def test_without_now_the_clock_decides(tmp_path: Path) -> None:
    running = pd.Timestamp.now(tz="UTC").floor("h")
    hours = [running - pd.Timedelta(hours=3), running + pd.Timedelta(hours=3)]
    path = written(tmp_path / "a.csv", *(f"{hour:%Y-%m-%dT%H:%M:%SZ},{SOUND}" for hour in hours))
    rows = read_ohlcv_files([path])
    assert list(rows.ohlcv["timestamp"]) == [hours[0].tz_localize(None)]
    assert list(rows.refused["reason"]) == ["hour not closed yet"]
