"""The sensor of a feature set, tick by tick, with its runs."""

import dagster as dg
import pandas as pd
import pytest

from feature_backfill.assets.names import features_key
from feature_backfill.automation.incremental import KEPT_MESSAGE, Cursor, next_request
from feature_backfill.automation.jobs import range_tags
from feature_backfill.automation.runs import Runs, pause_after
from feature_backfill.dagster_internals.notes import read_notes
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR, hour_range, partition_keys
from feature_backfill_tests.automation.ticks import Sensor, asked_hours, asked_range
from feature_backfill_tests.markets import (
    GAP,
    LAST,
    TABLE,
    append_ohlcv,
    execute,
    execute_on_target,
    small_market,
    stored,
)
from feature_backfill_tests.postgres import ON_EITHER
from feature_backfill_tests.targets import FILE_OR_LAKE, target_fields

NAME = "new_hours"


@pytest.fixture(params=FILE_OR_LAKE)
def market(tmp_path, request):
    return small_market(
        tmp_path, **target_fields(request), feature_sets=[{"key": "short", "base_hours": 48, "timeframes": ["1H"]}]
    )


@pytest.fixture
def sensor(instance, market):
    return Sensor(instance, build_definitions([market]), NAME)


def delete_row(market, hour):
    execute_on_target(market, "DELETE FROM features WHERE ts = ?", hour)


def noted(sensor):
    """What the sensor remembers of the feature set."""
    (text,) = read_notes(sensor.instance, ["new_hours/small__short"]).values()
    return Cursor.model_validate_json(text)


def in_two_hours():
    return pd.Timestamp.now(tz="UTC").tz_localize(None) + 2 * HOUR


def test_an_empty_feature_set_begins_49_hours_back_and_new_rows_are_asked_for_once(sensor, market):
    requests = sensor.tick()
    assert [asked_range(request) for request in requests] == [(LAST - 48 * HOUR, LAST)]
    assert all(result.success for result in sensor.execute(requests))
    assert len(stored(market)) == 49
    assert sensor.ranges() == []
    assert sensor.message == (
        f"nothing to do since {LAST - 48 * HOUR}, the first hour that this sensor watches: all 49 hours stored up to "
        f"{LAST}; lookbacks are complete from 2025-01-02 23:00 on, 384 hours since then are not stored: "
        "backfill them if you want them"
    )
    append_ohlcv(market, LAST + HOUR, 3)
    requests = sensor.tick()
    assert [asked_range(request) for request in requests] == [(LAST + HOUR, LAST + 3 * HOUR)]
    sensor.execute(requests)
    assert list(stored(market)["ts"]) == list(hour_range(LAST - 48 * HOUR, LAST + 3 * HOUR))
    assert sensor.ranges() == []
    assert sensor.ranges() == []


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED])
def test_a_range_on_its_way_is_not_asked_for_and_what_comes_meanwhile_is(sensor, market, status):
    (request,) = sensor.tick()
    run = sensor.create_run(request, status)
    assert sensor.ranges() == []
    assert "49 hours are queued or being computed" in sensor.message
    append_ohlcv(market, LAST + HOUR, 2)
    assert sensor.ranges() == [(LAST + HOUR, LAST + 2 * HOUR)]
    sensor.instance.delete_run(run.run_id)
    assert sensor.ranges() == [(LAST - 46 * HOUR, LAST + 2 * HOUR)]


def test_a_run_of_an_asset_backfill_counts_as_on_its_way(sensor, market, instance):
    (request,) = sensor.tick()
    instance.create_run_for_job(
        sensor.definitions.resolve_implicit_global_asset_job_def(),
        asset_selection=frozenset([features_key(market, market.feature_sets[0])]),
        tags=range_tags(*asked_range(request)),
    )
    assert sensor.ranges() == []


@ON_EITHER
def test_hours_without_a_sound_lookback_are_not_asked_for_until_the_gap_is_filled_then_once(sensor, market, instance):
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp > ?", GAP + 60 * HOUR)
    skipped = hour_range(GAP, GAP + 47 * HOUR)
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp > ?", GAP - HOUR)
    sensor.execute(sensor.tick())
    append_ohlcv(market, GAP + HOUR, 30)
    assert sensor.ranges() == []
    assert "30 cannot be computed, after a gap" in sensor.message
    assert "1 cannot be computed, no row in OHLCV" in sensor.message
    append_ohlcv(market, GAP + 31 * HOUR, 30)
    (request,) = sensor.tick()
    assert asked_range(request) == (GAP, GAP + 60 * HOUR)
    sensor.execute([request])
    assert sensor.ranges() == []
    append_ohlcv(market, GAP)
    (request,) = sensor.tick()
    assert asked_range(request) == (skipped[0], skipped[-1])
    sensor.execute([request])
    assert sensor.ranges() == []
    hours = hour_range(GAP - 49 * HOUR, GAP + 60 * HOUR)
    assert list(stored(market)["ts"]) == list(hours)
    assert instance.get_materialized_partitions(features_key(market, market.feature_sets[0])) == set(
        partition_keys(hours)
    )


def test_deleted_rows_are_asked_for_again_the_first_ever_stored_too(sensor, market):
    sensor.execute(sensor.tick())
    assert sensor.ranges() == []
    for hour in (LAST - 48 * HOUR, LAST - 20 * HOUR, LAST):
        delete_row(market, hour)
    (request,) = sensor.tick()
    assert list(asked_hours(request)) == [LAST - 48 * HOUR, LAST - 20 * HOUR, LAST]
    assert asked_range(request) == (LAST - 48 * HOUR, LAST)
    kept = stored(market)
    sensor.execute([request])
    assert len(stored(market)) == 49
    assert len(stored(market).merge(kept, on=["ts", "created_at"])) == 46
    assert sensor.ranges() == []


def test_old_hours_by_hand_are_no_wish_for_all_between_but_what_was_skipped_of_them_is_asked_for(sensor, market):
    sensor.execute(sensor.tick())
    for first, last in ((GAP - 100 * HOUR, GAP - 100 * HOUR), (GAP - HOUR, GAP + 49 * HOUR)):
        sensor.execute([dg.RunRequest(job_name="small__short", tags=range_tags(first, last))])
    assert sensor.ranges() == []
    append_ohlcv(market, GAP)
    requests = sensor.tick()
    assert [asked_range(request) for request in requests] == [(GAP, GAP + 47 * HOUR)]
    sensor.execute(requests)
    assert len(stored(market)) == 1 + 51 + 49
    assert sensor.ranges() == []


def test_old_hours_of_a_canceled_run_are_not_asked_for(sensor, market, instance):
    sensor.execute(sensor.tick())
    old = dg.RunRequest(job_name="small__short", tags=range_tags(GAP - 100 * HOUR, GAP - 90 * HOUR))
    instance.report_run_canceled(sensor.create_run(old, dg.DagsterRunStatus.STARTED))
    delete_row(market, LAST)
    assert sensor.ranges() == [(LAST, LAST)]
    tomorrow = pd.Timestamp.now(tz="UTC").tz_localize(None) + 24 * HOUR
    cursor = noted(sensor)
    assert next_request(Runs(instance), market, market.feature_sets[0], cursor, tomorrow).ranges == [(LAST, LAST)]


def test_a_failed_run_is_asked_for_again_after_a_pause_that_grows(sensor, market, instance):
    (feature_set,) = market.feature_sets
    (request,) = sensor.tick()
    for failures in (1, 2):
        instance.report_run_failed(sensor.create_run(request, dg.DagsterRunStatus.STARTED))
        assert sensor.ranges() == []
        assert "49 hours failed, asked for again from" in sensor.message
        ended = pd.Timestamp.now(tz="UTC").tz_localize(None)
        early = next_request(Runs(instance), market, feature_set, Cursor(), ended + pause_after(failures) * 0.9)
        late = next_request(Runs(instance), market, feature_set, Cursor(), ended + pause_after(failures))
        assert early.ranges == []
        assert late.ranges == [asked_range(request)]
    append_ohlcv(market, LAST + HOUR)
    requests = sensor.tick()
    assert [asked_range(request) for request in requests] == [(LAST + HOUR, LAST + HOUR)]
    sensor.execute([request])
    delete_row(market, LAST)
    assert sensor.ranges() == [(LAST, LAST + HOUR)], "a success ends the pauses"


def test_at_most_bounds_a_tick_and_a_long_absence_is_caught_up(instance, tmp_path):
    feature_sets = [{"key": "short", "base_hours": 48, "timeframes": ["1H"], "at_most": 20}]
    market = small_market(tmp_path, feature_sets=feature_sets)
    sensor = Sensor(instance, build_definitions([market]), NAME)
    asked = []
    while requests := sensor.tick():
        asked += [asked_range(request) for request in requests]
        sensor.execute(requests)
    first = LAST - 48 * HOUR
    assert asked == [
        (first, first + 19 * HOUR),
        (first + 20 * HOUR, first + 39 * HOUR),
        (first + 40 * HOUR, LAST),
    ]
    assert len(stored(market)) == 49


def test_a_database_that_is_missing_or_no_database_is_told_and_tried_again(sensor, market):
    sensor.execute(sensor.tick())
    append_ohlcv(market, LAST + HOUR)
    moved = market.source.database.rename(market.source.database.with_name("moved.duckdb"))
    cursor = noted(sensor)
    assert sensor.ranges() == []
    assert "no DuckDB file" in sensor.message
    assert noted(sensor) == cursor
    moved.rename(market.source.database)
    assert sensor.ranges() == [(LAST + HOUR, LAST + HOUR)]


def test_nothing_is_asked_for_of_a_market_that_is_stored_to_its_end(sensor, market):
    sensor.execute(sensor.tick())
    fresh = Sensor(sensor.instance, build_definitions([market]), NAME)
    assert fresh.ranges() == []


def test_other_settings_are_looked_at_anew(instance, market, tmp_path):
    cursor = next_request(Runs(instance), market, market.feature_sets[0], Cursor(), in_two_hours()).cursor
    assert cursor.settled == ""
    longer = small_market(tmp_path, feature_sets=[{"key": "short", "base_hours": 1000, "timeframes": ["1H"]}])
    request = next_request(Runs(instance), longer, longer.feature_sets[0], cursor, in_two_hours())
    assert request.ranges == []
    assert "49 cannot be computed, warm-up" in request.message
    assert request.cursor.settled
    again = next_request(Runs(instance), market, market.feature_sets[0], request.cursor, in_two_hours())
    assert len(again.ranges) == 1


def test_a_cursor_stays_short_and_says_what_was_settled(instance, tmp_path):
    impossible = small_market(tmp_path, feature_sets=[{"key": "short", "base_hours": 300, "timeframes": ["1H"]}])
    sensor = Sensor(instance, build_definitions([impossible]), NAME)
    assert sensor.ranges() == []
    told = sensor.message
    assert len(told) > KEPT_MESSAGE
    assert len(noted(sensor).model_dump_json()) <= 400
    assert sensor.ranges() == []
    assert sensor.message.endswith(" ...")
    assert told.startswith(sensor.message.removesuffix(" ..."))
