"""A PostgreSQL server of the tests' own, and instances that keep their records in it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as db
import yaml

from feature_backfill_tests.homes import new_home

USER = "postgres"
EITHER = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]

ON_EITHER = pytest.mark.parametrize("dagster_home", EITHER, indirect=True)
"""For tests that use `dagster_home`, of which `instance` is one: with the records in SQLite and in PostgreSQL."""


class Postgres:
    """A running server, reached through a socket in its folder."""

    def __init__(self, folder: Path):
        self._folder = folder

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"dagster_{uuid4().hex}"
        engine = db.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(db.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self._url(name)

    def new_catalog(self) -> str:
        """The address of a new, empty database, as libpq takes it."""
        return self.new_database().replace("+psycopg2", "")

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg2://{USER}@/{database}?host={self._folder}"


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A server in a temporary folder, stopped at the end of the block.

    PostgreSQL refuses to run as root, so that root starts it as the user of Debian's package.
    """
    programs = server_programs()
    assert programs is not None, "PostgreSQL's server is not installed"
    folder = Path(tempfile.mkdtemp(prefix="postgres_"))  # a socket's path must be short
    who: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, USER, USER)
        who = {"user": USER, "group": USER, "extra_groups": []}

    def call(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, **who)

    try:
        call("initdb", "--username", USER, "--auth", "trust", "--no-sync", "--encoding", "UTF8")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        call("pg_ctl", "start", "--wait", "--log", str(folder / "log"), "--options", options)
        try:
            yield Postgres(folder)
        finally:
            call("pg_ctl", "stop", "--mode", "immediate")
    finally:
        shutil.rmtree(folder)


def server_programs() -> Path | None:
    """Where the server's programs are: Debian has them in a folder for each version, which is not on the path."""
    found = shutil.which("initdb")
    return Path(found).parent if found else max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def storage(kind: str, url: str) -> dict[str, Any]:
    """The lines of a `dagster.yaml` that put Dagster's own storage of runs, event logs or schedules on PostgreSQL."""
    class_name = f"Postgres{kind.title().replace('_', '')}Storage"
    return _storage(kind, "dagster_postgres", class_name, url)


def batched(url: str) -> dict[str, Any]:
    """The lines of a `dagster.yaml` that put the event log there, written in bulk."""
    return _storage("event_log", "feature_backfill.event_log_postgres", "BatchedPostgresEventLogStorage", url)


def _storage(kind: str, module: str, class_name: str, url: str) -> dict[str, Any]:
    return {f"{kind}_storage": {"module": module, "class": class_name, "config": {"postgres_url": url}}}


def new_home_on_postgres(folder: Path, url: str) -> Path:
    """A DAGSTER_HOME with the shipped dagster.yaml, but with all records in PostgreSQL."""
    settings = new_home(folder) / "dagster.yaml"
    on_postgres = storage("run", url) | storage("schedule", url) | batched(url)
    settings.write_text(yaml.safe_dump(yaml.safe_load(settings.read_text()) | on_postgres))
    return folder
