"""Views of feature keys, read by plain DuckDB in connections that know nothing of the project."""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import duckdb
import pandas as pd
import pytest

from feature_backfill.cli import main
from feature_backfill.config import Lake
from feature_backfill.errors import BAD_ARGUMENTS, DONE, UserError
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table, write_features
from feature_backfill.store.views import create_view
from feature_backfill_tests.targets import FILE_OR_LAKE, new_target

Target = TypeVar("Target", Path, Lake)

HOURS = pd.date_range("2025-01-01", periods=3, freq="h", unit="us", name="ts")
ODD_KEY = 'it\'s "k"'
FRAME = pd.DataFrame({"a": [1.0, 2.0, float("nan")], 'it\'s "b" é': [4.0, 5.0, 6.0]}, index=HOURS)


@pytest.fixture(params=FILE_OR_LAKE)
def path(request: pytest.FixtureRequest) -> Path | Lake:
    return filled(new_target(request))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return filled(tmp_path / "features.duckdb")


def filled(target: Target) -> Target:
    store(target, ODD_KEY, FRAME)
    store(target, "other", FRAME * 2)
    return target


def store(path: Path | Lake, key: str, frame: pd.DataFrame) -> None:
    with connect(path, read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, key, frame)


def create(path: Path | Lake, view: str, key: str = ODD_KEY) -> int:
    with connect(path, read_only=False) as connection:
        return create_view(connection, key, view)


def rows(path: Path | Lake, view: str) -> pd.DataFrame:
    with reading(path) as connection:
        return connection.table(view).order("ts").df().set_index("ts")


def reading(path: Path | Lake) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """A connection that DuckDB opens by itself; that to a lake would take more than its path."""
    return connect(path, read_only=True) if isinstance(path, Lake) else duckdb.connect(path, read_only=True)


@pytest.mark.parametrize("view", ["plain", 'od"d; DROP TABLE features', "Ünïcode"])
def test_a_view_has_a_column_for_each_feature(path: Path | Lake, view: str) -> None:
    assert create(path, view) == 2
    with reading(path) as connection:
        read = connection.execute(f'''FROM "{view.replace('"', '""')}" ORDER BY ts''').df().set_index("ts")
    pd.testing.assert_frame_equal(read, FRAME, check_exact=True, check_freq=False)


def test_a_view_follows_the_rows_and_the_file(file: Path, tmp_path: Path) -> None:
    create(file, "v")
    store(file, ODD_KEY, FRAME.rename(lambda hour: hour + pd.Timedelta(days=1)))
    assert len(rows(file, "v")) == 6
    shutil.copy(file, tmp_path / "copy.duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{tmp_path / 'copy.duckdb'}' AS elsewhere (READ_ONLY)")
        assert connection.execute("SELECT count(*), max(a) FROM elsewhere.v").fetchall() == [(6, 2.0)]


def test_a_view_is_replaced(path: Path | Lake) -> None:
    create(path, "v", "other")
    create(path, "V")
    pd.testing.assert_frame_equal(rows(path, "v"), FRAME, check_exact=True, check_freq=False)


@pytest.mark.parametrize("name", ["features", "Features", "feature_inputs", "bars_4h", "BARS_1D", "", " ", "a\nb"])
def test_names_of_the_projects_tables_and_blank_names_are_refused(path: Path | Lake, name: str) -> None:
    with pytest.raises(UserError, match=r"call the view something else|is blank"):
        create(path, name)


@pytest.mark.parametrize("statement", ["CREATE TABLE mine (ts INT)", "CREATE VIEW mine AS SELECT 1 AS ts"])
def test_what_is_not_a_view_of_features_is_never_replaced(file: Path, statement: str) -> None:
    with connect(file, read_only=False) as connection:
        connection.execute(statement)
        before = connection.execute("FROM mine").fetchall()
        with pytest.raises(UserError, match="call the view something else"):
            create_view(connection, ODD_KEY, "Mine")
        assert connection.execute("FROM mine").fetchall() == before


@pytest.mark.parametrize("names", [["rsi", "RSI"], ["TS", "rsi"]])
def test_names_that_sql_cannot_tell_apart_are_refused(path: Path | Lake, names: list[str]) -> None:
    store(path, "k", pd.DataFrame(1.0, index=HOURS, columns=names))
    with pytest.raises(UserError, match="SQL ignores case"):
        create(path, "v", "k")


def test_the_command_makes_the_view(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "v", "--feature-key", "other", "--feat-duckdb", str(file)]) == DONE
    assert "ts and 2 features of other" in capsys.readouterr().out
    assert rows(file, "v")["a"].iloc[0] == 2.0


def test_the_command_says_what_is_missing(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.duckdb"
    for database, key, message in [(file, "nobody", "no row under the key nobody"), (missing, "k", "no DuckDB file")]:
        assert main(["view", "v", "--feature-key", key, "--feat-duckdb", str(database)]) == BAD_ARGUMENTS
        assert message in capsys.readouterr().err
    assert not missing.exists()
