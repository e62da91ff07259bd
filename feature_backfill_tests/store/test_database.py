import logging
import subprocess
from pathlib import Path

import duckdb
import numpy as np
import pytest

from feature_backfill.errors import DatabaseTakenError, UserError
from feature_backfill.store.database import connect, database_path, transaction
from feature_backfill.store.schema import has_table, table_names
from feature_backfill.store.sql import quoted
from feature_backfill_tests.holders import another_process_can_write, held_by_another_process


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "market.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE hours (ts TIMESTAMP)")
    return path


class LetGoWhenTold(logging.Handler):
    """Ends the process that holds a file as soon as somebody says that it waits."""

    def __init__(self, holder: subprocess.Popen[str]) -> None:
        super().__init__()
        self.holder = holder
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        assert self.holder.stdin is not None
        self.holder.stdin.close()


@pytest.mark.parametrize("read_only", [True, False])
def test_connect(path: Path, read_only: bool) -> None:
    with connect(path, read_only=read_only) as connection:
        assert table_names(connection) == ["hours"]
        assert database_path(connection) == str(path)
        assert connection.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
    with pytest.raises(duckdb.ConnectionException):
        connection.execute("SELECT 1")


def test_reading_cannot_write(path: Path) -> None:
    with connect(path, read_only=True) as connection, pytest.raises(duckdb.InvalidInputException):
        connection.execute("CREATE TABLE t (i INT)")


def test_writing_creates_a_file_that_plain_duckdb_reads_and_writes(tmp_path: Path) -> None:
    path = tmp_path / "it's new.duckdb"
    with connect(path, read_only=False) as connection:
        connection.execute("CREATE TABLE t AS SELECT i, repeat('x', 5000) AS text FROM range(5000) AS r(i)")
    with duckdb.connect(path) as plain:
        plain.execute("INSERT INTO t VALUES (5000, 'y')")
    with connect(path, read_only=False) as connection:
        connection.execute("INSERT INTO t VALUES (5001, 'z')")
    with duckdb.connect(path, read_only=True) as plain:
        assert plain.execute("SELECT count(*), sum(i), max(length(text)) FROM t").fetchall() == [
            (5002, 5001 * 5002 // 2, 5000)
        ]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def storage_version(path: Path) -> str:
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS file (READ_ONLY)")
        sql = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'file'"
        ((version,),) = connection.execute(sql).fetchall()
    return str(version)


def test_a_new_database_compresses_long_text(tmp_path: Path) -> None:
    path = tmp_path / "new.duckdb"
    with connect(path, read_only=False) as connection:
        connection.execute("CREATE TABLE t AS SELECT repeat(uuid()::VARCHAR, 500) AS text FROM range(2048)")
    assert storage_version(path) == "v1.2.0+"
    with connect(path, read_only=True) as connection:
        used = connection.execute("SELECT DISTINCT compression FROM pragma_storage_info('t') WHERE column_id = 0")
        assert ("ZSTD",) in used.fetchall()


def test_files_of_older_storage_versions_are_written(tmp_path: Path) -> None:
    path = tmp_path / "old.duckdb"
    with duckdb.connect() as old:
        old.execute(f"ATTACH '{path}' AS old (STORAGE_VERSION 'v0.10.2')")
        old.execute("CREATE TABLE old.t AS SELECT 1 AS i")
    before = storage_version(path)
    with connect(path, read_only=False) as connection:
        connection.execute("INSERT INTO t VALUES (2)")
    with connect(path, read_only=True) as connection:
        assert connection.execute("SELECT i FROM t ORDER BY i").fetchall() == [(1,), (2,)]
    assert storage_version(path) == before != "v1.2.0+"


def test_reading_a_missing_file_is_an_error_and_creates_nothing(tmp_path: Path) -> None:
    missing = tmp_path / "missing.duckdb"
    with pytest.raises(UserError, match=str(missing)), connect(missing, read_only=True):
        pass
    assert list(tmp_path.iterdir()) == []


def test_writing_into_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=str(tmp_path / "nowhere")), connect(tmp_path / "nowhere/f", read_only=False):
        pass


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("content", ["", "hello", "hello" * 10_000])
def test_a_file_that_is_no_database(tmp_path: Path, content: str, read_only: bool) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(UserError, match=r"notes\.txt.*not a valid DuckDB database"), connect(path, read_only=read_only):
        pass
    assert path.read_text() == content


@pytest.mark.parametrize("read_only", [True, False])
def test_a_folder(tmp_path: Path, read_only: bool) -> None:
    with pytest.raises(UserError, match=f"{tmp_path}.*directory"), connect(tmp_path, read_only=read_only):
        pass


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_of_a_newer_duckdb(path: Path, read_only: bool) -> None:
    header = bytearray(path.read_bytes())
    header[12:20] = (32767).to_bytes(8, "little")
    words = np.frombuffer(header, dtype="<u8", count=511, offset=8)
    checksum = np.bitwise_xor.reduce(words * np.uint64(0xBF58476D1CE4E5B9)) ^ np.uint64(5381)
    path.write_bytes(int(checksum).to_bytes(8, "little") + header[8:])
    with pytest.raises(UserError, match=r"newer version of DuckDB") as error, connect(path, read_only=read_only):
        pass
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("held_read_only", "read_only"), [(False, True), (False, False), (True, False)])
def test_a_file_that_stays_locked(path: Path, held_read_only: bool, read_only: bool) -> None:
    with (
        held_by_another_process(path, held_read_only) as holder,
        pytest.raises(DatabaseTakenError, match=rf"{path} is in use.*PID {holder.pid}"),
        connect(path, read_only=read_only, patience=0.0),
    ):
        pass


def test_readers_of_two_processes_do_not_wait(path: Path) -> None:
    with held_by_another_process(path, read_only=True), connect(path, read_only=True, patience=0.0) as connection:
        assert has_table(connection, "hours")


def test_waits_for_a_file_that_is_let_go(path: Path) -> None:
    with held_by_another_process(path) as holder:
        handler = LetGoWhenTold(holder)
        logger = logging.getLogger("feature_backfill.store.database")
        logger.addHandler(handler)
        try:
            with connect(path, read_only=False) as connection:
                assert has_table(connection, "hours")
        finally:
            logger.removeHandler(handler)
    (message,) = handler.messages
    assert f"{path} is in use; waiting" in message


@pytest.mark.parametrize(("first", "second"), [(False, True), (False, False), (True, False)])
def test_a_refused_second_mode_leaves_the_lock_in_place(path: Path, first: bool, second: bool) -> None:
    with connect(path, read_only=first):
        with pytest.raises(DatabaseTakenError, match="in use"), connect(path, read_only=second, patience=0.0):
            pass
        assert not another_process_can_write(path)
    assert another_process_can_write(path)


def test_a_reader_that_leaves_keeps_the_lock_of_the_other(path: Path) -> None:
    with connect(path, read_only=True):
        with connect(path, read_only=True):
            pass
        assert not another_process_can_write(path)


def test_what_raises_in_the_block_lets_the_file_go(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), connect(path, read_only=False) as connection:
        connection.begin()
        connection.execute("DROP TABLE hours")
        _ = 1 / 0
    assert another_process_can_write(path)
    with connect(path, read_only=False, patience=0.0) as connection:
        assert has_table(connection, "hours")


def test_transaction_is_all_or_nothing(path: Path) -> None:
    with connect(path, read_only=False) as connection:
        with pytest.raises(ZeroDivisionError), transaction(connection):
            connection.execute("INSERT INTO hours VALUES (now())")
            _ = 1 / 0
        assert connection.execute("FROM hours").fetchall() == []
        with transaction(connection):
            connection.execute("INSERT INTO hours VALUES (now())")
        assert len(connection.execute("FROM hours").fetchall()) == 1


def test_quoted() -> None:
    name = 'main.a "b"; DROP TABLE hours'
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE {quoted(name)} (i INT)")
        assert table_names(connection) == [name]
