import numpy as np
import pandas as pd
import pytest

from feature_backfill.cli import main
from feature_backfill.errors import BAD_ARGUMENTS, DONE
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table, write_features

HOURS = pd.date_range("2025-01-01", periods=30, freq="h", unit="us", name="ts")


@pytest.fixture
def stored(tmp_path):
    """The frame that features.duckdb of the folder holds under the key k."""
    frame = pd.DataFrame({"b": np.arange(30.0), "a": np.sqrt(np.arange(30.0))}, index=HOURS)
    frame.iloc[3, 0] = np.nan
    with connect(tmp_path / "features.duckdb", read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, "k", frame)
    return frame


def export(folder, *options, key="k", file="out.parquet"):
    database = folder / "features.duckdb"
    return main(["export", str(folder / file), "--feat-duckdb", str(database), "--feature-key", key, *options])


def test_the_file_holds_the_stored_rows(tmp_path, stored, capsys):
    assert export(tmp_path) == DONE
    exported = pd.read_parquet(tmp_path / "out.parquet")
    assert list(exported.columns) == ["ts", "b", "a"]
    pd.testing.assert_frame_equal(exported.set_index("ts"), stored, check_exact=True, check_freq=False)
    assert "30 hours of 2 features" in capsys.readouterr().out


def test_range_and_columns_can_be_chosen(tmp_path, stored):
    chosen = "--start", "2025-01-01T05:00", "--end", "2025-01-01T08:00+02:00", "--columns", "a"
    assert export(tmp_path, *chosen) == DONE
    exported = pd.read_parquet(tmp_path / "out.parquet").set_index("ts")
    pd.testing.assert_frame_equal(exported, stored.loc[HOURS[5:7], ["a"]], check_exact=True, check_freq=False)


def test_duckdb_names_the_database_that_holds_both(tmp_path, stored):
    file, database = str(tmp_path / "out.parquet"), str(tmp_path / "features.duckdb")
    assert main(["export", file, "--duckdb", database, "--feature-key", "k"]) == DONE


def test_an_existing_file_is_replaced_and_nothing_else_is_left(tmp_path, stored):
    (tmp_path / "out.parquet").write_text("old")
    assert export(tmp_path) == DONE
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == 30
    assert {path.name for path in tmp_path.iterdir()} == {"features.duckdb", "out.parquet"}


@pytest.mark.parametrize(
    ("options", "where", "message"),
    [
        (["--start", "2026-01-01"], {}, "no row of k from 2026-01-01"),
        (["--columns", "c"], {}, "no such feature"),
        (["--start", "soon"], {}, "--start"),
        ([], {"key": "other"}, "no features under the key other"),
        ([], {"file": "nowhere/out.parquet"}, "cannot write"),
        ([], {"file": "out.csv"}, "call it .parquet"),
    ],
)
def test_what_cannot_be_exported_is_said_and_leaves_no_file(tmp_path, stored, capsys, options, where, message):
    assert export(tmp_path, *options, **where) == BAD_ARGUMENTS
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["features.duckdb"]


def test_the_database_must_be_named(tmp_path, capsys):
    assert main(["export", str(tmp_path / "out.parquet"), "--feature-key", "k"]) == BAD_ARGUMENTS
    assert "--feat-duckdb" in capsys.readouterr().err


def test_columns_named_twice_are_refused(tmp_path, stored, capsys):
    assert export(tmp_path, "--columns", "a", "a") == BAD_ARGUMENTS
    assert "columns repeats a" in capsys.readouterr().err


def test_a_feature_list_and_a_number_type_can_be_chosen(tmp_path, stored):
    (tmp_path / "list.json").write_text('["a", "b"]')
    assert export(tmp_path, "--feature-list", str(tmp_path / "list.json"), "--dtype", "float32") == DONE
    exported = pd.read_parquet(tmp_path / "out.parquet").set_index("ts")
    expected = stored[["a", "b"]].astype("float32")
    pd.testing.assert_frame_equal(exported, expected, check_exact=True, check_freq=False)


def test_a_feature_list_with_unknown_names_is_refused(tmp_path, stored, capsys):
    (tmp_path / "list.json").write_text('["a", "c"]')
    assert export(tmp_path, "--feature-list", str(tmp_path / "list.json")) == BAD_ARGUMENTS
    assert "unknown names: 'c'" in capsys.readouterr().err
