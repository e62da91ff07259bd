"""What failed runs, deletions and open bars leave: stored hours stay green, and what is gone is missing."""

import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from feature_backfill.assets.names import features_key, hourly_partitions, ohlcv_key
from feature_backfill.automation.runs import FIRST_PAUSE
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR, hour_range, partition_key, partition_keys
from feature_backfill_tests.automation.ticks import Sensor
from feature_backfill_tests.markets import FIRST, GAP, LAST, TABLE, execute, small_market, stored
from feature_backfill_tests.runs import run_range


@pytest.fixture
def market(tmp_path):
    return small_market(tmp_path)


def failed_hours(instance, market):
    key, partitions = features_key(market, market.feature_sets[0]), hourly_partitions(market)
    status = get_and_update_asset_status_cache_value(instance, key, partitions)
    return set(status.deserialize_failed_partition_subsets(partitions).get_partition_keys())


def test_stored_hours_that_a_failed_run_had_planned_are_shown_anew(instance, market):
    key = features_key(market, market.feature_sets[0])
    hours = LAST - 5 * HOUR, LAST
    assert run_range(instance, market, *hours).success
    before = stored(market)
    without_bars_of_earlier_hours = hours[0] - 60 * HOUR, hours[1]
    assert not run_range(instance, market, *without_bars_of_earlier_hours, only=[key]).success
    assert set(partition_keys(hour_range(*hours))) <= failed_hours(instance, market)
    Sensor(instance, build_definitions([market]), "new_hours").tick()
    assert not set(partition_keys(hour_range(*hours))) & failed_hours(instance, market)
    assert stored(market).equals(before)


def test_a_run_that_failed_makes_a_settled_sensor_look_again(instance, market, monkeypatch):
    key = features_key(market, market.feature_sets[0])
    assert run_range(instance, market, LAST - 60 * HOUR, LAST).success
    sensor = Sensor(instance, build_definitions([market]), "new_hours")
    assert sensor.tick() == []
    early = FIRST + 100 * HOUR, FIRST + 110 * HOUR
    assert not run_range(instance, market, *early, only=[key]).success
    assert sensor.tick() == []
    assert "11 hours failed, asked for again from" in sensor.message
    monkeypatch.setattr("feature_backfill.automation.runs.FIRST_PAUSE", FIRST_PAUSE * 0)
    assert sensor.ranges() == [early]


def test_an_ohlcv_hour_that_is_deleted_reads_missing_again(instance, market):
    sensor = Sensor(instance, build_definitions([market]), "ohlcv")
    sensor.tick()
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp = ?", GAP + 5 * HOUR)
    sensor.tick()
    assert f"1 hours have no row any more, {GAP + 5 * HOUR}" in sensor.message
    shown = instance.get_materialized_partitions(ohlcv_key(market))
    assert partition_key(GAP + 5 * HOUR) not in shown
    assert partition_key(GAP + 6 * HOUR) in shown
    sensor.tick()
    assert "nothing changed" in sensor.message
