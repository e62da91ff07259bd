"""Many markets in one look and in one run: what breaks at one of them is its own business."""

import dagster as dg
import pandas as pd
import pytest

from feature_backfill.assets.names import bars_key, features_key, ohlcv_key
from feature_backfill.automation import looking
from feature_backfill.automation.looking import ALL, Round, Sayings
from feature_backfill.automation.new_hours import new_hours_config
from feature_backfill.automation.runs import NEW_HOURS
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR, hour_range, partition_key
from feature_backfill.planning import sharing
from feature_backfill_tests.automation.ticks import Sensor, asked_hours
from feature_backfill_tests.dagster_internals.elsewhere import SETTINGS
from feature_backfill_tests.holders import held_by_another_process
from feature_backfill_tests.markets import LAST, append_ohlcv, execute, small_market, stored
from feature_backfill_tests.runs import failures

NAMES = ("a", "b", "c")
SETS = [{"key": key, "base_hours": 48, "timeframes": ["1H", "4H"]} for key in ("first", "second")]
NEWEST = hour_range(LAST - 48 * HOUR, LAST)


@pytest.fixture
def markets(tmp_path):
    for name in NAMES:
        (tmp_path / name).mkdir()
    return [small_market(tmp_path / name, name=name, feature_sets=SETS) for name in NAMES]


@pytest.fixture
def sensor(instance, markets):
    return Sensor(instance, build_definitions(markets), NEW_HOURS)


def rows(market):
    return [list(stored(market, key)["ts"]) for key in ("first", "second")]


def run(instance, markets, hours):
    job = build_definitions(markets).resolve_job_def(NEW_HOURS)
    return job.execute_in_process(instance=instance, run_config=new_hours_config(hours), raise_on_error=False)


def test_where_runs_execute_elsewhere_each_is_of_as_few_markets_as_are_worth_it(markets, monkeypatch):
    monkeypatch.setattr(sharing, "FEWEST", 1)
    with dg.instance_for_test(overrides=SETTINGS) as elsewhere:
        assert len(Sensor(elsewhere, build_definitions(markets), NEW_HOURS).tick()) == len(NAMES)


def test_one_run_makes_the_hours_of_all_markets_and_its_events_are_those_of_the_assets(sensor, markets, instance):
    (request,) = sensor.tick()
    (result,) = sensor.execute([request])
    assert result.success
    for market in markets:
        assert rows(market) == [list(NEWEST), list(NEWEST)]
        assets = [ohlcv_key(market), bars_key(market, "4H")]
        assets += [features_key(market, feature_set) for feature_set in market.feature_sets]
        for asset in assets:
            assert partition_key(LAST) in instance.get_materialized_partitions(asset)
    assert sensor.tick() == []
    assert "nothing to do" in sensor.message
    sensor.tick()
    assert sensor.message == "nothing new at 6"


def test_a_market_that_breaks_keeps_nobody_waiting_and_is_named(sensor, markets):
    sensor.execute(sensor.tick())
    a, b, c = markets
    for market in markets:
        append_ohlcv(market, LAST + HOUR)
    (request,) = sensor.tick()
    b.target_database.write_text("no database")
    (result,) = sensor.execute([request])
    (message,) = failures(result.all_events)
    assert message.startswith("1 of 3 markets failed: b: cannot open")
    for market in (a, c):
        assert rows(market) == [list(NEWEST.append(pd.DatetimeIndex([LAST + HOUR])))] * 2


def test_hours_that_failed_are_asked_for_in_a_run_without_the_markets_that_are_well(
    sensor, markets, instance, monkeypatch
):
    monkeypatch.setattr("feature_backfill.automation.runs.FIRST_PAUSE", pd.Timedelta(0))
    (request,) = sensor.tick()
    a, b, c = markets
    execute(b, "ALTER TABLE ohlcv_small_1h RENAME volume TO hidden")
    (result,) = sensor.execute([request])
    assert not result.success
    assert [rows(market)[0] for market in (a, c)] == [list(NEWEST)] * 2
    execute(b, "ALTER TABLE ohlcv_small_1h RENAME hidden TO volume")
    append_ohlcv(a, LAST + HOUR)
    well, failed = sensor.tick()
    assert list(asked_hours(well, "a__first")) == [LAST + HOUR]
    assert list(asked_hours(failed, "b__second")) == list(NEWEST)
    assert all(result.success for result in sensor.execute([well, failed]))
    assert rows(b) == [list(NEWEST)] * 2


def test_a_database_that_is_taken_comes_last_and_one_that_is_no_database_stops_no_look(sensor, markets):
    a, b, _ = markets
    sensor.execute(sensor.tick())
    for market in markets:
        append_ohlcv(market, LAST + HOUR)
    b.source.database.write_text("no database")
    with held_by_another_process(a.source.database, read_only=False):
        (request,) = sensor.tick()
    assert set(request.run_config["ops"]["new_hours_op"]["config"]["hours"]) == {"c__first", "c__second"}


def test_what_says_automatic_false_is_left_alone(instance, tmp_path):
    for name in NAMES:
        (tmp_path / name).mkdir()
    off = small_market(tmp_path / "a", name="a", feature_sets=SETS, automatic=False)
    half = small_market(tmp_path / "b", name="b", feature_sets=[SETS[0], {**SETS[1], "automatic": False}])
    definitions = build_definitions([off, half])
    (request,) = Sensor(instance, definitions, NEW_HOURS).tick()
    assert set(request.run_config["ops"]["new_hours_op"]["config"]["hours"]) == {"b__first"}
    Sensor(instance, definitions, "ohlcv").tick()
    assert instance.get_materialized_partitions(ohlcv_key(off)) == set()
    assert len(instance.get_materialized_partitions(ohlcv_key(half))) > 400


@pytest.mark.parametrize(
    ("hours", "message"),
    [
        ({"a__third": "2025-01-11-05:00"}, "no feature set has the job a__third"),
        ({"a__first": "yesterday"}, "hours of a__first: "),
        ({"a__first": "2024-01-11-05:00"}, "are not all closed hours since 2025-01-01"),
    ],
)
def test_hours_that_mean_nothing_fail_the_run_in_one_line(instance, markets, hours, message):
    (failure,) = failures(run(instance, markets, hours).all_events)
    assert message in failure
    assert not any(market.target_database.exists() for market in markets)


def test_a_round_goes_on_where_the_last_one_had_no_time_left(markets, monkeypatch):
    assert [market.name for market in Round(markets, None)] == ["a", "b", "c"]
    monkeypatch.setattr(looking, "LOOKING_S", -1.0)
    seen, cursor = [], None
    for _ in range(4):
        this = Round(markets, cursor)
        seen += [market.name for market in this]
        cursor = this.cursor
    assert seen == ["a", "b", "c", "a"]
    monkeypatch.undo()
    last = Round(markets, "b")
    assert [market.name for market in last] == ["c", "a", "b"]
    assert last.cursor == ALL


def test_of_many_markets_only_the_news_are_said():
    sayings = Sayings()
    for number in range(30):
        sayings.say(f"m{number}", "asked for 1 hours", quiet=number >= 25)
    text = sayings.text(left=3)
    assert text.startswith("m0: asked for 1 hours | m1: ")
    assert text.endswith(
        "m19: asked for 1 hours | 5 more have news | nothing new at 5 | 3 markets are left to the next tick"
    )


def test_a_job_of_a_market_has_nothing_of_another(markets):
    repository = build_definitions(markets).get_repository_def()
    job = repository.get_job("b__first")
    assert {key.path[0] for key in job.asset_layer.asset_graph.get_all_asset_keys()} == {"b"}
    assert isinstance(job, dg.JobDefinition)
