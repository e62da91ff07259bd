from pathlib import Path

import duckdb
import pandas as pd
import pytest

from feature_backfill.errors import UserError
from feature_backfill.sources.files import ImportReport, import_files, read_ohlcv_files
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import read_ohlcv

HEADER = "timestamp,open,high,low,close,volume"
SOUND = "10,11,9,10.5,5.5"
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
NOW = pd.Timestamp("2024-06-01 13:12")
MIDNIGHT = pd.Timestamp("2024-01-01")


def written(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def stamps(path: Path) -> list[pd.Timestamp]:
    rows = read_ohlcv_files([path], NOW)
    assert rows.refused.empty
    return list(rows.ohlcv["timestamp"])


def refusals(*paths: Path) -> list[tuple[str, str]]:
    refused = read_ohlcv_files(paths, NOW).refused
    return list(refused.itertuples(index=False, name=None))


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


def test_the_last_closed_hour_is_taken(tmp_path: Path) -> None:
    path = written(tmp_path / "ohlcv.csv", f"2024-06-01 12:00,{SOUND}")
    assert stamps(path) == [pd.Timestamp("2024-06-01 12:00")]


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


def imported(tmp_path: Path, *paths: Path, table: str = "ohlcv") -> ImportReport:
    return import_files(paths, tmp_path / "market.duckdb", table, NOW)


def test_import_reports_what_it_did(tmp_path: Path) -> None:
    first = written(tmp_path / "a.csv", f"2024-01-01 00:00,{SOUND}", f"2024-01-01 01:00,{SOUND}", f"soon,{SOUND}")
    second = written(tmp_path / "b.csv", f"later,{SOUND}", f"2024-01-01 02:30,{SOUND}", "cut")
    report = imported(tmp_path, first, second)
    assert (report.new, report.changed, report.same) == (2, 0, 0)
    assert report.refused == {"timestamp does not parse": 2, "off the hour": 1, "malformed line": 1}
    assert report.examples == {
        "timestamp does not parse": f"{first}: soon",
        "off the hour": f"{second}: 2024-01-01 02:30",
        "malformed line": f"{second}: line 4",
    }
    assert list(report.hours) == list(pd.date_range(MIDNIGHT, periods=2, freq="h"))


def test_import_is_idempotent_and_tells_changes(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", f"2024-01-01 00:00,{SOUND}", f"2024-01-01 01:00,{SOUND}")
    table = 'odd "table"; --'
    imported(tmp_path, path, table=table)
    again = imported(tmp_path, path, table=table)
    assert (again.new, again.changed, again.same, len(again.hours)) == (0, 0, 2, 0)
    written(path, "2024-01-01 01:00,10,11,9,10,5.5", f"2024-01-01 02:00,{SOUND}")
    third = imported(tmp_path, path, table=table)
    assert (third.new, third.changed, third.same) == (1, 1, 0)
    assert list(third.hours) == [pd.Timestamp("2024-01-01 01:00"), pd.Timestamp("2024-01-01 02:00")]
    with connect(tmp_path / "market.duckdb", read_only=True) as connection:
        assert list(read_ohlcv(connection, table)["close"]) == [10.5, 10.0, 10.5]


def test_no_file_is_imported_if_one_cannot_be_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", f"2024-01-01 00:00,{SOUND}")
    with pytest.raises(UserError, match="no file"):
        imported(tmp_path, path, tmp_path / "missing.csv")
    assert not (tmp_path / "market.duckdb").exists()


def test_without_now_the_clock_decides(tmp_path: Path) -> None:
    running = pd.Timestamp.now(tz="UTC").floor("h")
    hours = [running - pd.Timedelta(hours=3), running + pd.Timedelta(hours=3)]
    path = written(tmp_path / "a.csv", *(f"{hour:%Y-%m-%dT%H:%M:%SZ},{SOUND}" for hour in hours))
    rows = read_ohlcv_files([path])
    assert list(rows.ohlcv["timestamp"]) == [hours[0].tz_localize(None)]
    assert list(rows.refused["reason"]) == ["hour not closed yet"]
