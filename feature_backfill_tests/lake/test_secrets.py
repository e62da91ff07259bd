"""What is secret stands in no message, and what cannot be opened is explained."""

from dataclasses import replace

import pytest

from feature_backfill.config import Lake
from feature_backfill.errors import RunError, UserError
from feature_backfill.store.database import connect
from feature_backfill.store.targets import exists, newest_snapshot
from feature_backfill_tests.lake.rows import frame, write

pytestmark = pytest.mark.lake

psycopg2 = pytest.importorskip("psycopg2")

SECRET = "s3cr'et \\ $HOME/@"


@pytest.fixture
def protected(lake, monkeypatch):
    """The lake, whose address names a password."""
    monkeypatch.setenv("LAKE_PASSWORD", SECRET)
    return replace(lake, catalog=lake.catalog.replace("postgres@", "postgres:${LAKE_PASSWORD}@"))


def test_any_password_reaches_the_server(protected):
    assert protected.connection["password"] == SECRET
    write(protected, frame(2))
    assert exists(protected)


def test_a_catalog_that_is_not_there_is_named_without_the_password(protected):
    away = Lake("postgresql://reader:${LAKE_PASSWORD}@127.0.0.1:1/lake", protected.data, "btc")
    with pytest.raises(UserError) as error, connect(away, read_only=True):
        pass
    assert "lake 127.0.0.1:1/lake, schema btc cannot be opened" in str(error.value)
    assert "Connection refused" in str(error.value)
    assert "s3cr" not in str(error.value)
    assert error.value.__suppress_context__
    with pytest.raises(UserError, match="cannot be opened"):
        exists(away)
    with pytest.raises(UserError, match="cannot be opened"):
        newest_snapshot(away)


def test_a_catalog_that_goes_away_fails_the_block_without_the_password(protected):
    write(protected, frame(2))
    with pytest.raises(RunError) as error, connect(protected, read_only=False) as connection:
        parts = {name: value for name, value in protected.connection.items() if name != "connect_timeout"}
        server = psycopg2.connect(**{**parts, "dbname": "postgres"})
        server.autocommit = True
        server.cursor().execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [parts["dbname"]]
        )
        server.cursor().execute(f"ALTER DATABASE {parts['dbname']} ALLOW_CONNECTIONS false")
        connection.execute("DELETE FROM features")
    assert str(error.value).startswith(str(protected))
    assert "s3cr" not in str(error.value)


def test_other_files_than_those_of_the_catalog_are_refused(lake, tmp_path):
    write(lake, frame(2))
    with pytest.raises(UserError, match="keeps its files elsewhere"):
        write(replace(lake, data=str(tmp_path / "elsewhere")), frame(2))


def test_a_variable_that_is_gone_is_named(protected, monkeypatch):
    monkeypatch.delenv("LAKE_PASSWORD")
    with pytest.raises(UserError, match="LAKE_PASSWORD is not set"), connect(protected, read_only=True):
        pass
