"""Files that are attached for reading to one instance."""

import duckdb
import pytest

from feature_backfill.errors import DatabaseDamagedError, DatabaseTakenError
from feature_backfill.store import attached
from feature_backfill.store.database import beside, connect, scalar


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{number} it's.duckdb" for number in range(3)]
    for number, path in enumerate(paths):
        with connect(path, read_only=False) as connection:
            connection.execute(f"CREATE TABLE t AS SELECT {number} AS n")
    return paths


def number(path):
    with connect(path, read_only=True) as connection:
        return scalar(connection, "SELECT n FROM t")


def test_files_of_one_name_for_their_tables_are_read_beside_each_other(files):
    first, second, _ = files
    with connect(first, read_only=True) as one, connect(second, read_only=True) as two, connect(first, read_only=True):
        assert (scalar(one, "SELECT n FROM t"), scalar(two, "SELECT n FROM t")) == (0, 1)
        with beside(two) as another:
            assert scalar(another, "SELECT n FROM t") == 1
    assert not any(attached.is_read(path) for path in files)


def test_a_file_that_is_read_is_not_written_and_can_be_afterwards(files):
    first, *_ = files
    with (
        connect(first, read_only=True),
        pytest.raises(DatabaseTakenError),
        connect(first, read_only=False, patience=0.0),
    ):
        pass
    with connect(first, read_only=False, patience=0.0) as connection:
        connection.execute("UPDATE t SET n = 7")
    assert number(first) == 7


def test_a_file_that_somebody_else_in_the_process_reads_can_be_read(files):
    first, *_ = files
    with duckdb.connect(first, read_only=True):
        assert number(first) == 0


def test_after_a_damaged_file_the_others_are_read_as_before(files):
    first, second, _ = files
    with pytest.raises(DatabaseDamagedError), connect(first, read_only=True):
        raise duckdb.FatalException("given up")
    assert number(second) == 1
    assert number(first) == 0
