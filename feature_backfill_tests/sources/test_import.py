"""Files imported into a table."""

from pathlib import Path

import pandas as pd
import pytest

from feature_backfill.errors import UserError
from feature_backfill.sources.files import ImportReport, import_files
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import read_ohlcv
from feature_backfill_tests.csv_files import SOUND, written

NOW = pd.Timestamp("2024-06-01 13:12")
MIDNIGHT = pd.Timestamp("2024-01-01")


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
