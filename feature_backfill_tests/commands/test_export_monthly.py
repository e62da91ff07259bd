"""`feature-backfill export --monthly`: a folder of monthly files that later calls extend."""

import numpy as np
import pandas as pd
import pytest

from feature_backfill.cli import main
from feature_backfill.errors import BAD_ARGUMENTS, DONE
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table, write_features

HOURS = pd.date_range("2024-12-31 20:00", "2025-02-02 03:00", freq="h", unit="us", name="ts")
FRAME = pd.DataFrame({"b": np.arange(float(len(HOURS))), "a": np.sqrt(np.arange(len(HOURS)))}, index=HOURS)


def store(folder, frame, key="k/1"):
    with connect(folder / "features.duckdb", read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, key, frame)


@pytest.fixture
def folder(tmp_path):
    """A folder with features.duckdb, which holds FRAME up to the end of January under the key k/1."""
    store(tmp_path, FRAME[:"2025-01-31"])
    return tmp_path


def export(folder, *options, key="k/1"):
    where = [str(folder / "out"), "--monthly", "--feat-duckdb", str(folder / "features.duckdb")]
    return main(["export", *where, "--feature-key", key, *options])


def files(folder):
    return {file.name: file.stat().st_ino for file in (folder / "out" / "k_1").iterdir()}


def test_each_month_is_a_file_and_together_they_are_the_rows(folder, capsys):
    assert export(folder) == DONE
    assert set(files(folder)) == {"2024-12.parquet", "2025-01.parquet"}
    assert len(pd.read_parquet(folder / "out" / "k_1" / "2024-12.parquet")) == 4
    exported = pd.read_parquet(folder / "out" / "k_1").set_index("ts")
    pd.testing.assert_frame_equal(exported, FRAME[:"2025-01-31"], check_exact=True, check_freq=False)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("wrote 2 months (2024-12 .. 2025-01); left 0 months, unchanged")


def test_a_later_call_writes_what_is_new_or_changed_and_no_more(folder, capsys):
    assert export(folder) == DONE
    before = files(folder)
    assert export(folder) == DONE
    assert files(folder) == before
    store(folder, FRAME["2025-02-01":])
    store(folder, FRAME["2024-12-31 22:00":"2024-12-31 22:00"] + 1)
    capsys.readouterr()
    assert export(folder) == DONE
    assert "wrote 2 months (2024-12 .. 2025-02); left 1 month (2025-01), unchanged" in capsys.readouterr().out
    after = files(folder)
    assert set(after) == {"2024-12.parquet", "2025-01.parquet", "2025-02.parquet"}
    assert after["2025-01.parquet"] == before["2025-01.parquet"]
    assert pd.read_parquet(folder / "out" / "k_1" / "2024-12.parquet")["b"].tolist() == [0, 1, 3, 3]


def test_a_range_means_whole_months(folder, capsys):
    assert export(folder, "--start", "2025-01-20T05:00", "--end", "2025-01-21") == DONE
    assert len(pd.read_parquet(folder / "out" / "k_1" / "2025-01.parquet")) == 31 * 24
    assert set(files(folder)) == {"2025-01.parquet"}


@pytest.mark.parametrize("options", [["--columns", "a"], ["--dtype", "float32"]])
def test_other_names_or_another_number_type_change_every_month(folder, capsys, options):
    assert export(folder) == DONE
    capsys.readouterr()
    assert export(folder, *options) == DONE
    assert "wrote 2 months" in capsys.readouterr().out


def test_a_damaged_file_is_written_again(folder):
    assert export(folder) == DONE
    (folder / "out" / "k_1" / "2025-01.parquet").write_text("damaged")
    assert export(folder) == DONE
    assert len(pd.read_parquet(folder / "out" / "k_1")) == 31 * 24 + 4


def test_a_key_with_the_slug_of_another_is_refused(folder, capsys):
    store(folder, FRAME, key="k-1")
    assert export(folder) == DONE
    assert export(folder, key="k-1") == BAD_ARGUMENTS
    assert "holds rows of the key k/1, not of k-1" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_line(folder, capsys):
    (folder / "out").write_text("a file")
    assert export(folder) == BAD_ARGUMENTS
    assert "cannot make the folder" in capsys.readouterr().err


def test_a_month_that_is_no_longer_stored_stops_an_export(folder, capsys):
    assert export(folder) == DONE
    with connect(folder / "features.duckdb", read_only=False) as connection:
        connection.execute("DELETE FROM features WHERE ts < '2025-01-01'")
    before = files(folder)
    capsys.readouterr()
    assert export(folder) == BAD_ARGUMENTS
    assert "has 2024-12.parquet, of which no row is stored under k/1 any more" in capsys.readouterr().err
    assert files(folder) == before
    assert export(folder, "--start", "2025-01-01") == DONE
