"""The job that fetches and computes what follows, what starts it, and what its events say."""

import dagster as dg
import pandas as pd
import pytest

from feature_backfill.assets.names import bars_key, features_key, ohlcv_key
from feature_backfill.automation.fetching import fetch_config, next_fetch
from feature_backfill.automation.runs import Runs
from feature_backfill.checks.corrections import corrections
from feature_backfill.checks.ohlcv import continuity
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR, hour_range, partition_key, partition_keys
from feature_backfill.sources import exchange, retrying
from feature_backfill.store.reading import read_features
from feature_backfill_tests.automation.ticks import Sensor
from feature_backfill_tests.exchange import faults
from feature_backfill_tests.exchange.scene import NOW, served_scene
from feature_backfill_tests.markets import execute_on_target, stored
from feature_backfill_tests.runs import failures, run_range

FIRST = NOW.floor("h") - 120 * HOUR
CLOSED = NOW.floor("h") - HOUR


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setattr(retrying, "PAUSES_S", (0.01,))
    monkeypatch.setattr(exchange, "POLL_EVERY_S", 0.02)
    monkeypatch.setattr(exchange, "AWAITED_S", 0.5)
    with served_scene(tmp_path) as scene:
        yield scene


def fetch(instance, market, awaited=None):
    """A run as the schedule starts it."""
    job = build_definitions([market]).resolve_job_def("btc__fetch")
    config = None if awaited is None else fetch_config(market, awaited)
    return job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)


def newest_event(instance, key, hour, observation=False):
    """What was last reported of an hour."""
    fetch_records = instance.fetch_observations if observation else instance.fetch_materializations
    filters = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition_key(hour)])
    (record,) = fetch_records(filters, limit=1).records
    return record.event_log_entry.asset_observation if observation else record.asset_materialization


def said(event):
    return {name: value.value for name, value in event.metadata.items()}


def test_a_market_whose_table_does_not_exist_yet_is_filled_and_its_features_computed(instance, scene):
    market = scene.market(FIRST)
    sensor = Sensor(instance, build_definitions([market]), "ohlcv")
    (request,) = sensor.tick()
    (result,) = sensor.execute([request])
    assert result.success
    scene.assert_table_is_what_the_exchange_holds(FIRST)
    newest = hour_range(CLOSED - 48 * HOUR, CLOSED)
    assert list(stored(market)["ts"]) == list(newest)
    assert instance.get_materialized_partitions(ohlcv_key(market)) == set(partition_keys(hour_range(FIRST, CLOSED)))
    for key in (bars_key(market, "4H"), features_key(market, market.feature_sets[0])):
        assert instance.get_materialized_partitions(key) == set(partition_keys(newest))
    assert sensor.tick() == []
    assert "the last fetch brought no more, the next is requested at" in sensor.message


def test_the_run_is_there_before_the_hour_closes_and_computes_it(instance, scene):
    market = scene.market(FIRST)
    assert fetch(instance, market).success
    before = stored(market)
    scene.served.clock.set(CLOSED + 2 * HOUR - pd.Timedelta(seconds=1))
    assert fetch(instance, market, CLOSED + HOUR).success
    after = stored(market)
    assert list(after["ts"]) == [*before["ts"], CLOSED + HOUR]
    assert after.merge(before, on=["ts", "created_at"]).shape[0] == len(before)
    row = said(newest_event(instance, ohlcv_key(market), CLOSED + HOUR))
    assert row.pop("seconds_late") < 30
    assert row == {"row": "API"}
    made = said(newest_event(instance, features_key(market, market.feature_sets[0]), CLOSED + HOUR))
    assert made["rows_written"] == 1


def test_the_schedule_waits_for_the_hour_that_is_about_to_close(instance, scene):
    market = scene.market(FIRST)
    definitions = build_definitions([market])
    repository = definitions.get_repository_def()
    schedule = repository.get_schedule_def("btc__fetch_hourly")
    assert (schedule.cron_schedule, schedule.default_status) == ("58 * * * *", dg.DefaultScheduleStatus.RUNNING)

    def tick():
        moment = NOW.floor("h").tz_localize("UTC") + pd.Timedelta(minutes=58)
        with dg.build_schedule_context(
            instance=instance, scheduled_execution_time=moment.to_pydatetime(), repository_def=repository
        ) as context:
            return schedule.evaluate_tick(context)

    (request,) = tick().run_requests
    assert request.run_config == fetch_config(market, NOW.floor("h"))
    sensor = Sensor(instance, definitions, "ohlcv")
    (asked,) = sensor.tick()
    sensor.create_run(asked, dg.DagsterRunStatus.STARTED)
    assert tick().skip_message == "a fetch is queued or running"
    assert sensor.tick() == []
    features = Sensor(instance, definitions, "new_hours")
    assert features.tick() == []
    assert features.message == "a fetch is running, which computes the new hours itself"


def test_an_hour_that_is_not_served_fails_the_run_and_the_next_one_gets_it(instance, scene):
    market = scene.market(FIRST)
    assert fetch(instance, market).success
    scene.later(hours=1)
    candle = scene.served.remove(CLOSED + HOUR)
    (message,) = failures(fetch(instance, market, CLOSED + HOUR).all_events)
    assert message == (
        f"fetched from binanceusdm, BTC/USDT:USDT: not there yet: {CLOSED + HOUR:%Y-%m-%d %H:%M}; "
        "the next fetch asks again"
    )
    scene.served.put_back(candle)
    assert fetch(instance, market, CLOSED + HOUR).success
    assert stored(market)["ts"].max() == CLOSED + HOUR


def test_an_exchange_that_is_down_fails_the_run_in_one_line_and_is_asked_less_and_less_often(instance, scene):
    market = scene.market(FIRST)
    scene.faults.switch_on(faults.down)
    dues = []
    for _ in range(3):
        (message,) = failures(fetch(instance, market).all_events)
        assert message.startswith("binanceusdm BTC/USDT:USDT, the list of markets: ")
        now = pd.Timestamp.now("UTC").tz_localize(None)
        request = next_fetch(Runs(instance), market, now)
        assert not request.asked
        dues.append(
            next(m for m in (1, 3, 7, 15) if next_fetch(Runs(instance), market, now + m * pd.Timedelta("1min")).asked)
        )
    assert dues == [3, 7, 15]


def test_restated_hours_show_as_corrected_and_the_rows_that_rest_on_them_as_stale(instance, scene):
    market = scene.market(FIRST)
    assert fetch(instance, market).success
    before = stored(market)
    scene.served.restate(CLOSED - HOUR, 77.0)
    assert fetch(instance, market).success
    event = newest_event(instance, ohlcv_key(market), CLOSED - HOUR, observation=True)
    assert said(event)["row"] == "restated"
    pd.testing.assert_frame_equal(stored(market), before)
    assert corrections(market, market.feature_sets[0]).metadata["hours_stale"].value == 2


def test_rows_that_rest_on_restated_hours_are_recomputed_if_the_yaml_says_so(instance, scene):
    market = scene.market(FIRST, restated="recompute")
    assert fetch(instance, market).success
    before, read_before = stored(market), read_features(market.target_database, "short")
    moment = pd.Timestamp.now("UTC").tz_localize(None)
    scene.served.restate(CLOSED - HOUR, 77.0)
    assert fetch(instance, market).success
    after = stored(market)
    changed = after["features"] != before["features"]
    assert list(after.loc[changed, "ts"]) == [CLOSED - HOUR, CLOSED]
    assert corrections(market, market.feature_sets[0]).passed
    pd.testing.assert_frame_equal(read_features(market.target_database, "short", as_of=moment), read_before)


def test_rows_that_a_failed_fetch_left_stale_are_recomputed_by_the_next(instance, scene):
    market = scene.market(FIRST, restated="recompute")
    assert fetch(instance, market).success
    scene.served.restate(CLOSED - HOUR, 77.0)
    scene.fetch(FIRST)
    assert not corrections(market, market.feature_sets[0]).passed
    assert fetch(instance, market).success
    assert corrections(market, market.feature_sets[0]).passed


def test_a_backfill_that_computed_the_hour_as_well_finds_its_row_and_keeps_it(instance, scene):
    market = scene.market(FIRST)
    assert fetch(instance, market).success
    before = stored(market)
    assert run_range(
        instance,
        market,
        CLOSED - HOUR,
        CLOSED,
        run_config={"ops": {"btc__features__short": {"config": {"overwrite": True}}}},
    ).success
    pd.testing.assert_frame_equal(stored(market), before)


def test_one_feature_set_that_cannot_be_computed_does_not_hold_up_the_others(instance, scene):
    sets = [{"key": key, "base_hours": 48, "timeframes": ["1H", "4H"]} for key in ("first", "second")]
    market = scene.market(FIRST, feature_sets=sets)
    assert fetch(instance, market).success
    execute_on_target(market, "UPDATE feature_keys SET base_hours = 50 WHERE feature_key = 'first'")
    scene.later(hours=1)
    (message,) = failures(fetch(instance, market, CLOSED + HOUR).all_events)
    assert "first" in message
    assert stored(market, "second")["ts"].max() == CLOSED + HOUR
    assert stored(market, "first")["ts"].max() == CLOSED


def test_an_hour_that_the_exchange_does_not_have_is_listed_and_is_no_warning(instance, scene):
    market = scene.market(FIRST)
    for hour in (CLOSED - 60 * HOUR, CLOSED - 59 * HOUR):
        scene.served.remove(hour)
    assert fetch(instance, market).success
    result = continuity(market)
    assert result.passed
    assert "2 have no row in OHLCV, 2 of them not on the exchange" in result.description
    (gap,) = result.metadata["not_on_the_exchange"].records
    assert gap.data == {"first": str(CLOSED - 60 * HOUR), "last": str(CLOSED - 59 * HOUR), "hours": 2}
