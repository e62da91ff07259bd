import sqlite3
from functools import partial

import dagster as dg
import hypothesis
import pytest
import sqlalchemy

from feature_backfill.commands.shared.instance import local_instance
from feature_backfill_tests.homes import new_home
from feature_backfill_tests.postgres import new_home_on_postgres, postgres_server

FIGURES = "figures"

hypothesis.settings.register_profile("no clock", deadline=None)
hypothesis.settings.load_profile("no clock")


def pytest_addoption(parser):
    group = parser.getgroup("long fault tests (-m long)")
    group.addoption("--kills", type=int, default=33, metavar="N", help="how often a backfill is killed (33)")
    group.addoption("--soak-minutes", type=float, default=6.0, metavar="M", help="how long the soak lasts (6)")
    group.addoption("--fault-seed", type=int, default=1, metavar="SEED", help="decides what happens, and when (1)")


def pytest_collection_modifyitems(items):
    """Begin with what waits for other processes, while the rest has something to compute."""
    items.sort(key=lambda item: ("ui" not in item.path.parts, not {"faults", "sources"} & set(item.path.parts)))


def pytest_terminal_summary(terminalreporter):
    """Show the figures that tests gave."""
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        lines = [line for name, line in report.user_properties if name == FIGURES]
        if lines:
            terminalreporter.section(report.nodeid)
            terminalreporter.write_line("\n".join(lines))


@pytest.fixture
def figures(record_property):
    """Takes lines to show at the end of the session."""
    return partial(record_property, FIGURES)


@pytest.fixture(scope="module")
def no_waiting_for_the_disk():
    """Dagster's records are not flushed to the disk in this module, which no test of it needs."""

    def unsynchronized(connection, _):
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", unsynchronized)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", unsynchronized)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server. Tests that ask for it have the marker postgres or lake."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def catalog(postgres):
    """The address of an empty database for the catalog of a lake. Tests that ask for it have the marker lake."""
    return postgres.new_catalog()


@pytest.fixture
def dagster_home(request, tmp_path, monkeypatch):
    """A DAGSTER_HOME with the shipped dagster.yaml; for tests ON_EITHER also one with the records in PostgreSQL."""
    folder = tmp_path / "dagster_home"
    if getattr(request, "param", "sqlite") == "postgres":
        home = new_home_on_postgres(folder, request.getfixturevalue("postgres").new_database())
    else:
        home = new_home(folder)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home


@pytest.fixture(scope="module")
def module_instance(tmp_path_factory):
    """An instance with the shipped dagster.yaml that all tests of a module share."""
    home = tmp_path_factory.mktemp("dagster_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with local_instance(home) as instance:
            yield instance


@pytest.fixture
def instance(dagster_home):
    with dg.DagsterInstance.get() as instance:
        yield instance
