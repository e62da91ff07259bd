"""What is refused of CSV and Parquet files: bad rows, damaged lines, rows that disagree, whole files."""

from pathlib import Path

import pandas as pd
import pytest

from feature_backfill.errors import UserError
from feature_backfill.sources.files import read_ohlcv_files
from feature_backfill_tests.csv_files import HEADER, SOUND, written

NOW = pd.Timestamp("2024-06-01 13:12")
MIDNIGHT = pd.Timestamp("2024-01-01")
UNREADABLE_STAMPS = [
    "",
    "soon",
    "now",
    "2024",
    "20240101",
    "01/02/2024",
    "2024-13-01",
    "2024-01-01 24:00",
    "1704067",
    "inf",
]


def refusals(*paths: Path) -> list[tuple[str, str]]:
    refused = read_ohlcv_files(paths, NOW).refused
    return list(refused.itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        *((f"{stamp},{SOUND}", "timestamp does not parse") for stamp in UNREADABLE_STAMPS),
        (f"2024-01-01 00:30,{SOUND}", "off the hour"),
        (f"1704067200001,{SOUND}", "off the hour"),
        (f"2024-06-01 13:00,{SOUND}", "hour not closed yet"),
        ("2024-01-01,x,11,9,10,5", "open is not a number"),
        ("2024-01-01,10,,9,10,5", "high is not a number"),
        ("2024-01-01,10,11,NaN,10,5", "low is not a number"),
        ('2024-01-01,10,11,9,"10,5",5', "close is not a number"),
        ("2024-01-01,10,11,9,10,inf", "volume is infinite"),
        ("2024-01-01,10,11,0,10,5", "low is not positive"),
        ("2024-01-01,10,9,11,10,5", "high below low"),
        ("2024-01-01,8,11,9,10,5", "open outside low..high"),
        ("2024-01-01,10,11,9,12,5", "close outside low..high"),
        ("2024-01-01,10,11,9,10,-5", "volume is negative"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(tmp_path: Path, row: str, reason: str) -> None:
    path = written(tmp_path / "ohlcv.csv", f"2024-05-31 22:00,{SOUND}", row, f"2024-05-31 23:00,{SOUND}")
    rows = read_ohlcv_files([path], NOW)
    stamp = row.partition(",")[0] or "no timestamp"
    assert list(rows.refused.itertuples(index=False, name=None)) == [(f"{path}: {stamp}", reason)]
    assert list(rows.ohlcv["timestamp"]) == [pd.Timestamp("2024-05-31 22:00"), pd.Timestamp("2024-05-31 23:00")]


@pytest.mark.parametrize("damaged", ["2024-01-01 01:00,10,11", f"2024-01-01 01:00,{SOUND},7", "garbage", "# note"])
@pytest.mark.parametrize("extra_columns", ["", ",trades,taker_volume"])
def test_a_damaged_line_is_refused(tmp_path: Path, damaged: str, extra_columns: str) -> None:
    row = SOUND + ",1" * extra_columns.count(",")
    damaged = damaged.replace(SOUND, row)
    lines = [f"2024-01-01 00:00,{row}", damaged, f"2024-01-01 02:00,{row}"]
    path = written(tmp_path / "ohlcv.csv", *lines, header=HEADER + extra_columns)
    assert refusals(path) == [(f"{path}: line 3", "malformed line")]
    assert len(read_ohlcv_files([path], NOW).ohlcv) == 2


def test_a_line_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ohlcv.csv"
    path.write_bytes(f"{HEADER}\n2024-01-01 00:00,{SOUND}\n".encode() + f"caf\u00e9,{SOUND}\n".encode("latin-1"))
    assert refusals(path) == [(f"{path}: line 3", "malformed line")]


def test_a_cut_last_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ohlcv.csv"
    path.write_text(f"{HEADER}\n2024-01-01 00:00,{SOUND}\n2024-01-01 01:00,10,1")
    assert refusals(path) == [(f"{path}: line 3", "malformed line")]


def test_nothing_but_damaged_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "ohlcv.csv", "a,b", "c")
    rows = read_ohlcv_files([path], NOW)
    assert (len(rows.ohlcv), list(rows.refused["reason"])) == (0, ["malformed line"] * 2)


def test_equal_duplicates_count_once_within_and_across_files(tmp_path: Path) -> None:
    first = written(tmp_path / "a.csv", f"2024-01-01 00:00,{SOUND}", f"2024-01-01 00:00,{SOUND}")
    second = written(tmp_path / "b.csv", "2024-01-01T00:00:00Z,10.0,11.00,9,10.50,5.5", f"2024-01-01 01:00,{SOUND}")
    rows = read_ohlcv_files([first, second, first], NOW)
    assert rows.refused.empty
    assert list(rows.ohlcv["timestamp"]) == [MIDNIGHT, pd.Timestamp("2024-01-01 01:00")]


def test_conflicting_duplicates_are_refused_across_files(tmp_path: Path) -> None:
    first = written(tmp_path / "a.csv", f"2024-01-01 00:00,{SOUND}", f"2024-01-01 01:00,{SOUND}")
    second = written(tmp_path / "b.csv", "2024-01-01 01:00,10,11,9,10.25,5.5")
    place = "2024-01-01 01:00"
    assert refusals(first, second) == [(f"{path}: {place}", "rows of this hour disagree") for path in (first, second)]
    assert list(read_ohlcv_files([first, second], NOW).ohlcv["timestamp"]) == [MIDNIGHT]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("ohlcv.csv", "", "lacks the column timestamp, open"),
        ("ohlcv.csv", HEADER + "\n", "holds no rows"),
        ("ohlcv.csv", f"1704067200000,{SOUND}\n", "lacks the column timestamp, open, .*it has 1704067200000"),
        ("ohlcv.csv", "timestamp,open,high,low\n2024-01-01,1,1,1\n", "lacks the column close, volume"),
        (
            "ohlcv.csv",
            f"day,open,high,low,close,volume\n2024-01-01,{SOUND}\n",
            "lacks the column timestamp; .*has day, open",
        ),
        (
            "ohlcv.csv",
            f"date,time,open,high,low,close,volume\n2024-01-01,00:00,{SOUND}\n",
            "which column .* time or date",
        ),
        ("ohlcv.csv", f"{HEADER.replace(',', ';')}\n{SOUND}\n", "lacks the column timestamp"),
        ("ohlcv.csv", f'{HEADER}\n2024-01-01,"10,11,9,10,5\n2024-01-01,{SOUND}\n', "cannot read .*balanced quotes"),
        ("ohlcv.parquet", f"{HEADER}\n2024-01-01,{SOUND}\n", "cannot read .*ohlcv.parquet"),
        ("ohlcv.xlsx", "x", "neither .csv nor .parquet"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError, match=complaint) as caught:
        read_ohlcv_files([path], NOW)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.csv", tmp_path):
        with pytest.raises(UserError, match="no file"):
            read_ohlcv_files([path], NOW)
