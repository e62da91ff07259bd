"""A broken YAML beside a good one: what Dagster shows of it, what goes on, and what Dagster's validation says."""

import subprocess
import sys

import dagster as dg
import pandas as pd
import pytest

from feature_backfill.assets.names import bars_key, features_key, hourly_partitions, ohlcv_key
from feature_backfill.automation.broken import CHECK, BrokenCursor
from feature_backfill.automation.jobs import range_tags
from feature_backfill.definitions import build_definitions, defs
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR
from feature_backfill_tests.automation.ticks import Sensor
from feature_backfill_tests.markets import LAST, TABLE, configure, small_market, stored

LISTED = {"key": "short", "base_hours": 48, "timeframes": ["1H", "4H"], "feature_list": "names.json"}
REASON = "bad.yaml: feature_sets.0.base_hours: Input should be a valid integer, got 'fourty'"
CONFIGURATION = dg.AssetKey(["bad", "configuration"])


@pytest.fixture
def configs(tmp_path, monkeypatch, dagster_home):
    folder = tmp_path / "configs"
    folder.mkdir()
    monkeypatch.setenv("FEATURE_BACKFILL_CONFIGS", str(folder))
    return folder


@pytest.fixture
def markets(tmp_path, configs):
    """The markets `good` and `bad`, both of which can be used."""
    markets = {}
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "names.json").write_text('["log_close_1H", "log_close_4H"]')
        markets[name] = small_market(tmp_path / name, name=name, feature_sets=[LISTED])
        configure(markets[name], configs)
    return markets


def break_bad(configs):
    path = configs / "bad.yaml"
    path.write_text(path.read_text().replace("base_hours: 48", "base_hours: fourty"))


OF_ALL_MARKETS = {"compact_records", "history", "new_hours", "plan", "repair"}
"""The jobs that no market has for itself."""


def specs(definitions):
    return {spec.key: spec for spec in definitions.resolve_all_asset_specs()}


def automations(definitions):
    """The names of all jobs, sensors and schedules."""
    repository = definitions.get_repository_def()
    every = [*repository.job_names, *(each.name for each in (*repository.sensor_defs, *repository.schedule_defs))]
    return [name for name in every if not name.startswith("__")]


def evaluations(instance, key=CONFIGURATION):
    """Whether each evaluation of the check of a broken file passed, newest first, with what it says."""
    records = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, CHECK), limit=10)
    return [
        (record.event.asset_check_evaluation.passed, record.event.asset_check_evaluation.description)
        for record in records
    ]


def test_the_good_market_runs_and_the_broken_one_says_what_is_wrong(instance, configs, markets, caplog):
    break_bad(configs)
    definitions = defs()
    assert f"{REASON}; this market does not run" in caplog.text
    of_all = {*OF_ALL_MARKETS, "broken_markets", "ohlcv"}
    assert all(name.startswith("good__") or name in of_all for name in automations(definitions))
    hours = range_tags(LAST - 2 * HOUR, LAST)
    assert definitions.resolve_job_def("good__short").execute_in_process(instance=instance, tags=hours).success
    assert len(stored(markets["good"])) == 3
    shown = {key: spec for key, spec in specs(definitions).items() if spec.group_name == "bad"}
    assert list(shown) == [CONFIGURATION]
    assert REASON in shown[CONFIGURATION].description


def test_what_was_defined_before_is_shown_still_and_does_not_run(configs, markets):
    bad = markets["bad"]
    key = features_key(bad, bad.feature_sets[0])
    before = {found: spec for found, spec in specs(defs()).items() if spec.group_name == "bad"}
    assert key in before
    break_bad(configs)
    definitions = defs()
    after = {found: spec for found, spec in specs(definitions).items() if spec.group_name == "bad"}
    # The last results of checks would read green beside a market that does not run.
    checks = {found for found in before if found.path[-1].endswith("_checks")}
    assert len(checks) == 2
    assert after.keys() == (before.keys() - checks) | {CONFIGURATION}
    for shown in (ohlcv_key(bad), bars_key(bad, "4H"), key):
        assert after[shown].partitions_def == hourly_partitions(bad)
        assert after[shown].deps == before[shown].deps
        assert REASON in after[shown].description
    assert not after.keys() & definitions.resolve_asset_graph().executable_asset_keys
    assert not [name for name in automations(definitions) if name.startswith("bad__")]


def test_a_market_whose_feature_list_is_gone_is_shown_as_it_was(configs, markets, tmp_path):
    defs()
    (tmp_path / "bad" / "names.json").unlink()
    shown = specs(defs())
    assert "names.json: No such file or directory" in shown[CONFIGURATION].description
    assert features_key(markets["bad"], markets["bad"].feature_sets[0]) in shown


def test_markets_that_share_a_name_are_both_broken_and_their_assets_stay(configs, markets):
    defs()
    (configs / "again.yaml").write_text((configs / "bad.yaml").read_text())
    definitions = defs()
    shown = specs(definitions)
    again = dg.AssetKey(["again", "configuration"])
    for key in (CONFIGURATION, again):
        assert "these files use the same market name" in shown[key].description
    assert ohlcv_key(markets["bad"]) in shown
    assert "good__short" in automations(definitions)


def test_a_file_without_a_name_gives_its_own_to_a_group_that_no_market_has(configs, markets):
    for name in ("sol-usdt.yaml", "sol_usdt.yml", "good_.yaml"):
        (configs / name).write_text("- `a` <b>")
    (configs / "good.yml").write_text("name: good\nfirst_hour: [")
    shown = specs(defs())
    groups = [key.path[0] for key in shown if key.path[1:] == ["configuration"]]
    assert sorted(groups) == ["good_", "good_2", "sol_usdt", "sol_usdt_2"]
    assert ohlcv_key(markets["good"]) in shown


def test_the_sensor_makes_the_check_red_once_a_change_and_once_an_hour(instance, configs, markets):
    break_bad(configs)
    sensor = Sensor(instance, defs(), "broken_markets")
    assert sensor.sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert sensor.tick() == []
    ((passed, said),) = evaluations(instance)
    assert (passed, REASON in said, "\n" in said) == (False, True, False)
    assert sensor.tick() == []
    assert REASON in sensor.message
    assert len(evaluations(instance)) == 1
    an_hour_ago = BrokenCursor.model_validate_json(sensor.cursor)
    an_hour_ago.at = (pd.Timestamp(an_hour_ago.at) - HOUR).isoformat()
    sensor.cursor = an_hour_ago.model_dump_json()
    sensor.tick()
    assert len(evaluations(instance)) == 2
    (configs / "worse.yaml").write_text("")
    later = Sensor(instance, defs(), "broken_markets")
    later.cursor = sensor.cursor
    later.tick()
    assert len(evaluations(instance)) == 3
    assert len(evaluations(instance, dg.AssetKey(["worse", "configuration"]))) == 1


def test_the_check_fails_where_it_is_executed(instance, configs, markets):
    break_bad(configs)
    key = dg.AssetCheckKey(CONFIGURATION, CHECK)
    job = defs().resolve_implicit_global_asset_job_def().get_subset(asset_check_selection={key})
    (evaluation,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    assert REASON in evaluation.description


def test_the_configuration_knows_every_job_of_a_market(tmp_path):
    table = {"database": "ohlcv.duckdb", "table": TABLE}
    files = small_market(tmp_path, source={**table, "folder": "files"})
    fetched = small_market(tmp_path, source={**table, "exchange": "binance", "symbol": "BTC/USDT"})
    jobs = {
        name
        for market in (files, fetched)
        for name in build_definitions([market]).get_repository_def().job_names
        if not name.startswith("__") and name not in OF_ALL_MARKETS
    }
    assert jobs == files.job_names == fetched.job_names


def test_no_sensor_looks_for_broken_files_where_there_are_none(configs, markets):
    assert "broken_markets" not in automations(defs())


def test_a_folder_without_markets_does_not_load_and_says_what_to_do(configs):
    with pytest.raises(UserError, match=f"no market YAML in {configs}; write one"):
        defs()


def validate(*options):
    command = [
        sys.executable,
        "-m",
        "dagster",
        "definitions",
        "validate",
        "-m",
        "feature_backfill.definitions",
        *options,
    ]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.live
def test_dagsters_validation_refuses_a_broken_file_and_names_it(configs, markets):
    done = validate()
    assert done.returncode == 0, done.stderr
    break_bad(configs)
    for options in ((), ("--load-with-grpc",)):
        done = validate(*options)
        assert done.returncode == 1
        assert f"UserError: {configs}/{REASON}" in done.stdout + done.stderr
