import shutil

import dagster as dg
import pytest
import sqlalchemy as db

from feature_backfill.commands.shared.instance import local_instance, shipped_config


def pytest_collection_modifyitems(items):
    """Begin with what waits for other processes, while the rest has something to compute."""
    items.sort(key=lambda item: "ui" not in item.path.parts)


@pytest.fixture
def dagster_home(tmp_path, monkeypatch):
    """A DAGSTER_HOME with the shipped dagster.yaml."""
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(shipped_config("dagster.yaml"), home / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home


@pytest.fixture(scope="module")
def no_waiting_for_the_disk():
    """SQLite does not wait until what it wrote has reached the disk."""

    def unsynchronized(connection, _):
        connection.execute("PRAGMA synchronous = OFF")

    db.event.listen(db.Engine, "connect", unsynchronized)
    yield
    db.event.remove(db.Engine, "connect", unsynchronized)


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
