import dagster as dg
import pytest

from feature_backfill.hours import HOUR
from feature_backfill_tests.automation.repairs.views import LAST, START
from feature_backfill_tests.markets import FIRST, configure, small_market
from feature_backfill_tests.postgres import new_home_on_postgres
from feature_backfill_tests.targets import FILE_OR_LAKE, target_fields


@pytest.fixture(params=FILE_OR_LAKE)
def market(tmp_path, monkeypatch, request):
    """A market in the configs folder, with 46 partitions."""
    hours = int((LAST - FIRST) / HOUR) + 1
    market = small_market(tmp_path, hours, first_hour=START, **target_fields(request))
    configure(market, tmp_path / "configs")
    monkeypatch.setenv("FEATURE_BACKFILL_CONFIGS", str(tmp_path / "configs"))
    return market


@pytest.fixture
def own_instance(tmp_path, monkeypatch):
    """An instance with Dagster's default storage."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def instance_on_postgres(tmp_path, monkeypatch, postgres):
    home = new_home_on_postgres(tmp_path / "dagster_home", postgres.new_database())
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        yield instance


@pytest.fixture(params=["instance", "own_instance", pytest.param("instance_on_postgres", marks=pytest.mark.postgres)])
def either_instance(request):
    return request.getfixturevalue(request.param)
