import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from feature_backfill.errors import RunError, UserError
from feature_backfill.store.conversion import convert, differences
from feature_backfill.store.database import connect
from feature_backfill.store.sql import quoted
from feature_backfill_tests.store.test_database import held_by_another_process, storage_version

EVERYTHING = """
CREATE TABLE parent (i INT PRIMARY KEY, d DOUBLE NOT NULL CHECK (d > 0), u VARCHAR DEFAULT 'x' UNIQUE);
INSERT INTO parent VALUES (2, 1.0, 'p'), (1, 'infinity', NULL);
CREATE TABLE "the ""big"" rows" (j JSON, t TIMESTAMPTZ, l INT[], s STRUCT(a INT, b TEXT), m MAP(INT, BLOB), n HUGEINT);
INSERT INTO "the ""big"" rows" SELECT '{"x": NaN, "y":1.0}', now(), [1, NULL], {a: 1, b: 'é'}, map {1: 'z'::BLOB}, -i
    FROM range(5000) AS r(i);
CREATE INDEX by_value ON parent (d);
CREATE SEQUENCE numbers START 5;
SELECT nextval('numbers');
CREATE TABLE numbered (i INT DEFAULT nextval('numbers'));
INSERT INTO numbered DEFAULT VALUES;
CREATE MACRO plus_one(x) AS x + 1;
CREATE TYPE mood AS ENUM ('calm', 'wild');
CREATE SCHEMA other;
CREATE TABLE other.parent (m mood);
INSERT INTO other.parent VALUES ('wild');
CREATE VIEW first_view AS SELECT d FROM parent;
CREATE VIEW a_view_of_a_view AS FROM first_view;
COMMENT ON COLUMN parent.d IS 'a comment';
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "the database.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS old (STORAGE_VERSION 'v1.0.0')")
        connection.execute("USE old")
        connection.execute(EVERYTHING)
    return path


def files(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_everything_is_there_afterwards(path: Path) -> None:
    before = path.read_bytes()
    path.chmod(0o640)
    done = convert(path)
    assert storage_version(path) == "v1.2.0+"
    assert done.backup is not None and done.backup.read_bytes() == before
    assert (done.before, done.after) == (len(before), path.stat().st_size)
    assert path.stat().st_mode & 0o777 == 0o640
    assert files(path) == [path.name, f"{path.name}.bak"]
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS converted (READ_ONLY); ATTACH '{done.backup}' AS kept (READ_ONLY)")
        assert differences(connection, "kept", "converted") == []
    with connect(path, read_only=False) as connection:
        assert connection.execute("SELECT nextval('numbers'), plus_one(1)").fetchall() == [(7, 2)]
        assert connection.execute("FROM a_view_of_a_view ORDER BY d").fetchall() == [(1.0,), (float("inf"),)]
        with pytest.raises(duckdb.ConstraintException):
            connection.execute("INSERT INTO parent VALUES (1, 1.0, 'q')")


def test_the_old_file_need_not_be_kept(path: Path) -> None:
    assert convert(path, keep_old=False).backup is None
    assert files(path) == [path.name]


def test_what_a_crash_left_in_the_log_is_kept(path: Path) -> None:
    crashed = (
        f"import duckdb, os; c = duckdb.connect({str(path)!r}); "
        "c.execute('CREATE TABLE late AS SELECT 1 AS i'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", crashed], check=True)
    assert path.with_name(f"{path.name}.wal").exists()
    convert(path)
    with connect(path, read_only=True) as connection:
        assert connection.execute("FROM late").fetchall() == [(1,)]
    assert files(path) == [path.name, f"{path.name}.bak"]


@pytest.mark.parametrize(
    ("change", "different"),
    [
        ("UPDATE new.parent SET u = 'q' WHERE i = 2", "the rows of table main.parent"),
        ("DELETE FROM new.other.parent", "the rows of table other.parent"),
        ("INSERT INTO new.numbered VALUES (6)", "the rows of table main.numbered"),
        ("DROP VIEW new.a_view_of_a_view", "views.*a_view_of_a_view"),
        ("DROP INDEX new.by_value", "indexes.*by_value"),
        ("SELECT nextval('new.numbers')", "sequences.*numbers"),
        ("DROP MACRO new.plus_one", "macros.*plus_one"),
        ("COMMENT ON COLUMN new.parent.d IS NULL", "columns.*a comment"),
        ("CREATE SCHEMA new.third", "schemas.*third"),
    ],
)
def test_differences_are_seen(path: Path, change: str, different: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS old; ATTACH '{path.with_name('new')}' AS new")
        connection.execute("COPY FROM DATABASE old TO new")
        assert differences(connection, "old", "new") == []
        connection.execute(change)
        assert re.search(different, "; ".join(differences(connection, "old", "new")))


def refused(path: Path, error: type[Exception], message: str) -> None:
    before, names = path.read_bytes(), files(path)
    with pytest.raises(error, match=message):
        convert(path)
    assert path.read_bytes() == before
    assert files(path) == names


def test_a_backup_is_not_overwritten(path: Path) -> None:
    path.with_name(f"{path.name}.bak").write_text("precious")
    refused(path, UserError, "exists already; move it away")


def test_what_newer_versions_alone_can_store_is_refused(path: Path) -> None:
    with duckdb.connect() as connection:
        path.unlink()
        connection.execute(f"ATTACH '{path}' AS {quoted('new')} (STORAGE_VERSION 'latest')")
        try:
            connection.execute("CREATE TABLE new.t (v VARIANT)")
        except duckdb.Error:
            pytest.skip("this DuckDB stores nothing that v1.2.0 cannot")
    refused(path, RunError, "could not be converted and is as it was")


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no DuckDB file"):
        convert(tmp_path / "nowhere.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_use_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connect.__wrapped__.__kwdefaults__, "patience", 0.0)  # type: ignore[attr-defined]
    with held_by_another_process(path, read_only=True), pytest.raises((UserError, RunError), match="in use"):
        convert(path)
    assert files(path) == [path.name]
