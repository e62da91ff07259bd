"""Files as exchanges publish them: klines with and without a header, packed, in any unit; and what is refused."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from feature_backfill.automation.changes import folder_state
from feature_backfill.errors import UserError
from feature_backfill.sources.files import read_ohlcv_files
from feature_backfill.store import packed
from feature_backfill_tests.csv_files import KLINE_HEADER, kline, zipped

NOW = pd.Timestamp("2025-06-01 13:12")
MIDNIGHT = pd.Timestamp("2025-01-01")
SECONDS = 1735689600
FACTORS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def klines(unit: str = "ms", hours: int = 3, header: str | None = None) -> str:
    lines = [kline((SECONDS + 3600 * hour) * FACTORS[unit]) for hour in range(hours)]
    return "\n".join([header, *lines] if header else lines) + "\n"


@pytest.mark.parametrize("header", [None, KLINE_HEADER], ids=["without a header", "with a header"])
@pytest.mark.parametrize("unit", FACTORS)
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".zip", ".ZIP"])
def test_klines_in_every_packing_and_unit(tmp_path: Path, suffix: str, unit: str, header: str | None) -> None:
    text = klines(unit, header=header)
    path = tmp_path / f"BTCUSDT-1h-2025-01{suffix}"
    content = {".csv": text.encode(), ".csv.gz": gzip.compress(text.encode())}
    path.write_bytes(content.get(suffix) or zipped(("BTCUSDT-1h-2025-01.csv", text)))
    rows = read_ohlcv_files([path], NOW)
    assert rows.refused.empty
    assert list(rows.ohlcv["timestamp"]) == list(pd.date_range(MIDNIGHT, periods=3, freq="h"))
    assert list(rows.ohlcv.iloc[0, 1:]) == [10.0, 11.0, 9.0, 10.5, 5.5]


def test_rows_of_klines_are_refused_by_their_place_in_the_archive(tmp_path: Path) -> None:
    open_hour = int(pd.Timestamp("2025-06-01 13:00").timestamp()) * 1000
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(("a.csv", klines() + "1735700400000,10,11\n" + kline(open_hour) + "\n")))
    rows = read_ohlcv_files([path], NOW)
    assert list(rows.refused.itertuples(index=False, name=None)) == [
        (f"{path}: {open_hour}", "hour not closed yet"),
        (f"{path}: line 4", "malformed line"),
    ]
    assert len(rows.ohlcv) == 3


def test_a_name_in_an_archive_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.zip"
    path.write_bytes(zipped(("../../escaped.csv", klines())))
    assert len(read_ohlcv_files([path], NOW).ohlcv) == 3
    assert [file.name for file in tmp_path.rglob("*")] == ["in", "a.zip"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        pytest.param("a.zip", b"<html>404</html>", "is no zip file, or is damaged", id="no zip"),
        pytest.param("a.zip", zipped(("a.csv", klines(hours=50)))[:-30], "is no zip file, or is damaged", id="cut zip"),
        pytest.param(
            "a.zip",
            zipped(("a.csv", klines())).replace(b"a.csv", b"b.csv", 1),
            "is no zip file, or is damaged",
            id="zip of contradicting names",
        ),
        pytest.param("a.zip", zipped(), "must hold one CSV file and nothing else; it holds 0 entries", id="empty zip"),
        pytest.param("a.zip", zipped(("a.csv", klines()), ("b.csv", klines())), "it holds 2 entries", id="zip of two"),
        pytest.param("a.zip", zipped(("readme.txt", "hello")), "it holds readme.txt", id="zip of text"),
        pytest.param("a.zip", zipped(("a.csv", "hello")), "lacks the column timestamp", id="zip of a CSV of nothing"),
        pytest.param("a.zip", zipped(("a.csv", "")), "lacks the column timestamp", id="zip of an empty CSV"),
        pytest.param("a.csv.gz", b"timestamp,open", "is no gzip file, or is damaged", id="no gzip"),
        pytest.param(
            "a.csv.gz", gzip.compress(klines().encode())[:-12], "is no gzip file, or is damaged", id="cut gzip"
        ),
        pytest.param("a.gz", gzip.compress(klines().encode()), "neither .csv nor .parquet", id="gzip of another name"),
        pytest.param("a.zip", zipped(("a.csv", b"0" * 50_000_000)), r"unpacks to more than \d+ MiB", id="zip of zeros"),
        pytest.param("a.csv.gz", gzip.compress(b"0" * 50_000_000), r"unpacks to more than \d+ MiB", id="gzip of zeros"),
    ],
)
def test_what_is_no_packed_csv_is_named_and_refused(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=complaint) as caught:
        read_ohlcv_files([path], NOW)
    assert str(path) in str(caught.value)


def test_no_file_is_larger_than_the_bound_however_it_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "LARGEST_BYTES", 1000)
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(("a.csv", klines(hours=50))))
    with pytest.raises(UserError, match="unpacks to more than"):
        read_ohlcv_files([path], NOW)


def test_a_folder_lists_the_packed_files_and_not_their_checksums(tmp_path: Path) -> None:
    for name in ("a.zip", "b.CSV.GZ", "c.parquet", "d.csv", "a.zip.CHECKSUM", "e.gz"):
        (tmp_path / name).touch()
    assert list(folder_state(tmp_path)) == ["a.zip", "b.CSV.GZ", "c.parquet", "d.csv"]
