"""History of many markets that the job wishes for, and the sensor requests."""

import pytest

from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR
from feature_backfill_tests.automation.ticks import Sensor
from feature_backfill_tests.markets import FIRST, HOURS, LAST, small_market, stored
from feature_backfill_tests.runs import failures

WAITING = 2 * 47 + 1
"""Hours that cannot be computed: at the beginning, and in and after the gap."""


@pytest.fixture
def markets(tmp_path):
    return [small_market(tmp_path, name=name, target_database=f"{name}.duckdb") for name in ("one", "two")]


@pytest.fixture
def wish(instance):
    def run(markets, /, **config):
        job = build_definitions(markets).resolve_job_def("history")
        run_config = {"ops": {"history_op": {"config": config}}}
        return job.execute_in_process(instance=instance, run_config=run_config, raise_on_error=False)

    return run


@pytest.fixture
def work(instance):
    """Tick after tick of the sensor and its runs, until it asks for nothing more."""

    def run(markets):
        sensor = Sensor(instance, build_definitions(markets), "new_hours")
        while requests := sensor.tick():
            assert all(result.success for result in sensor.execute(requests))
        return sensor

    return run


def test_all_that_can_be_computed_is_requested_of_all_markets(markets, wish, work):
    work(markets)
    assert [len(stored(market)) for market in markets] == [49, 49]
    assert wish(markets).success
    sensor = work(markets)
    assert [len(stored(market)) for market in markets] == [HOURS - WAITING] * 2
    assert f"since {FIRST}" in sensor.message


def test_one_market_since_an_hour_also_where_nothing_is_stored(markets, wish, work):
    since = LAST - 99 * HOUR
    assert wish(markets, markets=["two"], since=str(since)).success
    work(markets)
    assert [len(stored(market)) for market in markets] == [49, 100]


def test_a_wish_for_more_markets_than_before_reaches_each(markets, wish, work):
    assert wish(markets, markets=["one"]).success
    assert wish(markets).success
    work(markets)
    assert [len(stored(market)) for market in markets] == [HOURS - WAITING] * 2


def test_a_later_wish_takes_nothing_back(markets, wish, work):
    assert wish(markets, since=str(LAST - 99 * HOUR)).success
    assert wish(markets, since=str(LAST)).success
    work(markets)
    assert len(stored(markets[0])) == 100


def test_the_hours_of_a_tick_are_bounded(tmp_path, instance, wish):
    feature_sets = [{"key": "short", "base_hours": 48, "timeframes": ["1H", "4H"], "at_most": 100}]
    market = small_market(tmp_path, feature_sets=feature_sets)
    assert wish([market]).success
    sensor = Sensor(instance, build_definitions([market]), "new_hours")
    sensor.execute(sensor.tick())
    assert len(stored(market)) == 100
    sensor.execute(sensor.tick())
    assert len(stored(market)) == 200


def test_a_market_that_the_sensor_leaves_alone_is_left_out_and_refused_by_name(tmp_path, wish):
    market = small_market(tmp_path, automatic=False)
    assert wish([market]).success
    (failure,) = failures(wish([market], markets=["small"]).all_events)
    assert "automatic: false keeps the sensor new_hours from small, short" in failure
