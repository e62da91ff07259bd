from pathlib import Path

import duckdb
import pytest

from feature_backfill.errors import UserError
from feature_backfill.store.database import connect
from feature_backfill.store.schema import describe_table, has_table, require_schema


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "market.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE hours (ts TIMESTAMP)")
    return path


def test_describe_table(path: Path) -> None:
    with connect(path, read_only=False) as connection:
        connection.execute('CREATE TABLE t (b TIMESTAMP, "A c" DOUBLE, j JSON)')
        connection.execute("CREATE VIEW v AS SELECT b FROM t")
        assert describe_table(connection, "T") == {"b": "TIMESTAMP", "A c": "DOUBLE", "j": "JSON"}
        assert describe_table(connection, "v") == {"b": "TIMESTAMP"}
        assert not has_table(connection, "w")
        with pytest.raises(UserError, match=rf"no table w in {path}; the tables there: hours, t, v"):
            describe_table(connection, "w")


def test_describe_table_of_an_empty_database(tmp_path: Path) -> None:
    with connect(tmp_path / "new", read_only=False) as connection, pytest.raises(UserError, match="there: none"):
        describe_table(connection, "ohlcv")


def test_require_schema() -> None:
    columns = {"ts": "TIMESTAMP", "value": "DOUBLE"}
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE good (ts TIMESTAMP PRIMARY KEY, value DOUBLE DEFAULT 0)")
        require_schema(connection, "good", columns, ["ts"])
        connection.execute("CREATE TABLE bad (ts DATE, extra INTEGER)")
        with pytest.raises(UserError) as error:
            require_schema(connection, "bad", columns, ["ts"])
    for difference in (
        "column value is missing",
        "column extra is not expected",
        "column ts is DATE instead of TIMESTAMP",
        "the primary key is () instead of (ts)",
    ):
        assert difference in str(error.value)


def test_a_name_with_quotes_a_dot_and_other_letters(path: Path) -> None:
    with connect(path, read_only=False) as connection:
        connection.execute('CREATE TABLE "main.a ""b"" é" (ts TIMESTAMP PRIMARY KEY)')
        require_schema(connection, 'main.a "b" é', {"ts": "TIMESTAMP"}, ["ts"])
        assert not has_table(connection, 'a "b" é')
