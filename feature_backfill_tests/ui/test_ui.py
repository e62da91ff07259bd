"""What an operator does in the web UI, through the real webserver and the real daemon; a market for each story."""

import pandas as pd
import pytest

from feature_backfill.automation.broken import CHECK
from feature_backfill.commands.shared.instance import shipped_config
from feature_backfill.hours import HOUR, hour_range, partition_key, partition_keys
from feature_backfill_tests.markets import FIRST, GAP, TABLE, append_ohlcv, configure, execute, small_market, stored
from feature_backfill_tests.ui.server import dagster_ui, until

HOURS = 547
LAST = FIRST + (HOURS - 1) * HOUR
STORIES = ("gap", "scattered", "sensor", "together", "restart")
WITH_SENSORS = ("sensor", "together")
HISTORY = hour_range(FIRST + 47 * HOUR, LAST)
COMPUTABLE = HISTORY.difference(hour_range(GAP, GAP + 47 * HOUR))


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The UI and the processes behind it, over the markets of all stories; sensors are off."""
    folder, home = tmp_path_factory.mktemp("desk"), tmp_path_factory.mktemp("home")
    settings = shipped_config("dagster.yaml").read_text()
    for patience in ("poll_interval_seconds: 30", "start_timeout_seconds: 180"):
        assert patience in settings
        settings = settings.replace(patience, patience.partition(":")[0] + ": 15")
    (home / "dagster.yaml").write_text(settings)
    for name in STORIES:
        (folder / name).mkdir()
    markets = {name: small_market(folder / name, HOURS, name=name, automatic=name in WITH_SENSORS) for name in STORIES}
    for market in markets.values():
        configure(market, folder)
    (folder / "typo.yaml").write_text("name: typo\nfirst_hour: [")
    with dagster_ui(folder, home) as (ui, dagster):
        yield ui, dagster, markets


def assets(name):
    return [[name, "bars_4h"], [name, "features", "short"]]


def keys(hours):
    return partition_keys(pd.DatetimeIndex(hours))


@pytest.mark.live
def test_a_range_with_a_gap_and_then_what_is_missing(desk):
    ui, _, markets = desk
    market, features = markets["gap"], assets("gap")[-1]
    assert len(HISTORY) == 500
    first = ui.finished(ui.launch_assets(assets("gap"), keys(HISTORY)))
    assert [run["status"] for run in first["runs"]] == ["SUCCESS"]
    assert list(stored(market)["ts"]) == list(COMPUTABLE)
    assert ui.partitions(features) == [
        (partition_key(HISTORY[0]), partition_key(GAP - HOUR)),
        (partition_key(GAP + 48 * HOUR), partition_key(LAST)),
    ]
    before = stored(market)
    ui.finished(ui.launch_assets(assets("gap"), keys(HISTORY)))
    pd.testing.assert_frame_equal(stored(market), before)
    append_ohlcv(market, GAP)
    missing = ui.finished(ui.launch_job("gap__short", keys(HISTORY.difference(COMPUTABLE))))
    assert missing["status"] == "COMPLETED_SUCCESS"
    after = stored(market)
    assert list(after["ts"]) == list(HISTORY)
    assert after.merge(before, on=["ts", "created_at"]).shape[0] == len(before)
    assert ui.partitions(features) == [(partition_key(HISTORY[0]), partition_key(LAST))]


@pytest.mark.live
def test_scattered_hours_are_a_run_each_and_the_only_ones(desk):
    ui, _, markets = desk
    scattered = [GAP - 30 * HOUR, GAP + 70 * HOUR, LAST]
    done = ui.finished(ui.launch_job("scattered__short", keys(scattered)))
    assert done["status"] == "COMPLETED_SUCCESS"
    assert len(done["runs"]) == 3
    assert list(stored(markets["scattered"])["ts"]) == scattered


def test_the_sensor_fills_what_is_new_and_what_a_filled_gap_allows(desk):
    ui, _, markets = desk
    market = markets["sensor"]
    execute(market, f"CREATE TABLE later AS SELECT * FROM {TABLE} WHERE timestamp > ?", LAST - 5 * HOUR)
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp > ?", LAST - 5 * HOUR)
    known = hour_range(GAP - 20 * HOUR, LAST - 5 * HOUR)
    ui.finished(ui.launch_job("sensor__short", keys(known)))
    before = stored(market)
    assert list(before["ts"]) == list(known.intersection(COMPUTABLE))
    ui.start_sensor("new_hours")
    execute(market, f"INSERT INTO {TABLE} SELECT * FROM later")
    until(lambda: True if stored(market)["ts"].max() == LAST else None)
    expected = hour_range(GAP - 20 * HOUR, LAST).intersection(COMPUTABLE)
    assert list(stored(market)["ts"]) == list(expected)
    append_ohlcv(market, GAP)
    until(lambda: True if len(stored(market)) == len(expected) + 48 else None)
    after = stored(market)
    assert list(after["ts"]) == list(hour_range(GAP - 20 * HOUR, LAST))
    assert after.merge(before, on=["ts", "created_at"]).shape[0] == len(before)
    ui.stop_sensors()


def test_a_broken_yaml_beside_these_markets_has_a_red_check_without_a_click(desk):
    ui, *_ = desk
    assert ui.check(["typo", "configuration"], CHECK) is None
    ui.start_sensor("broken_markets")
    result = until(lambda: ui.check(["typo", "configuration"], CHECK))
    assert (result["status"], result["evaluation"]["severity"]) == ("FAILED", "ERROR")
    assert "typo.yaml is not YAML" in result["evaluation"]["description"]


@pytest.mark.live
def test_backfills_and_the_sensor_together_compute_each_hour_once(desk):
    ui, _, markets = desk
    ui.start_sensor("new_hours")
    halves = HISTORY[:250], HISTORY[200:]
    launched = [ui.launch_assets(assets("together"), keys(half)) for half in halves]
    for backfill in map(ui.finished, launched):
        assert {run["status"] for run in backfill["runs"]} == {"SUCCESS"}
    ui.stop_sensors()
    rows = stored(markets["together"])
    assert list(rows["ts"]) == list(COMPUTABLE)


@pytest.mark.live
def test_a_daemon_killed_in_the_middle_of_a_backfill_loses_nothing(desk):
    ui, dagster, markets = desk
    market, scattered = markets["restart"], COMPUTABLE[::100]
    ui.launch_job("restart__short", keys(scattered))
    until(lambda: True if len(stored(market)) >= 2 else None)
    dagster.kill_alone("daemon")
    before = stored(market)
    dagster.start_daemon()
    ui.start_sensor("ohlcv")
    until(lambda: True if len(stored(market)) == len(scattered) else None)
    after = stored(market)
    assert list(after["ts"]) == list(scattered)
    assert after.merge(before, on=["ts", "created_at"]).shape[0] == len(before)
