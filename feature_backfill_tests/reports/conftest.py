import pytest

from feature_backfill.hours import HOUR
from feature_backfill_tests.markets import FIRST, LAST, execute, execute_on_target, small_market
from feature_backfill_tests.runs import run_range

DELETED = FIRST + 100 * HOUR
CORRECTED = LAST - 5 * HOUR


@pytest.fixture(scope="module")
def market(module_instance, tmp_path_factory):
    """The small market, all stored but an hour whose row was deleted; the last hours are stale."""
    market = small_market(tmp_path_factory.mktemp("report"))
    assert run_range(module_instance, market, FIRST, LAST).success
    execute_on_target(market, "DELETE FROM features WHERE ts = ?", DELETED)
    execute(market, "UPDATE ohlcv_small_1h SET volume = volume * 2 WHERE timestamp = ?", CORRECTED)
    return market


@pytest.fixture
def feature_set(market):
    return market.feature_sets[0]
