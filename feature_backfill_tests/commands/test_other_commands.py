"""`feature-backfill import-ohlcv`, `selftest`, `demo` and `--help` as their user calls them."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from feature_backfill import feature_names, read_features
from feature_backfill.assets.names import bars_key, features_key, ohlcv_key
from feature_backfill.cli import main
from feature_backfill.commands.demo import FEATURE_LIST
from feature_backfill.commands.shared.defaults import LOCAL_HOME
from feature_backfill.commands.shared.instance import shipped_config
from feature_backfill.config import load_market, read_feature_list
from feature_backfill.hours import HOUR, partition_keys
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.markets import FIRST, LAST, LOOKBACK, WHERE, execute_on_target, small_market, window


@pytest.fixture
def folder(tmp_path, monkeypatch, dagster_home):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_import_says_what_became_of_the_rows_and_reports_the_hours(folder, capsys):
    ohlcv = synthetic_ohlcv(FIRST, 30)
    ohlcv.loc[4, "high"] = 1.0
    ohlcv.to_csv("hours.csv", index=False)
    arguments = ["import-ohlcv", "hours.csv", "--duckdb", "o.duckdb", "--table", "t"]
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert "29 rows new, 0 changed, 0 the same" in output
    assert "refused 1, high below low" in output
    with dg.DagsterInstance.get() as instance:
        present = instance.get_materialized_partitions(dg.AssetKey(["t", "ohlcv"]))
    assert present == set(partition_keys(pd.DatetimeIndex(ohlcv["timestamp"]).delete(4)))
    assert main(arguments) == 0
    assert "0 rows new, 0 changed, 29 the same" in capsys.readouterr().out


def test_import_without_a_dagster_home_makes_none_and_does_not_speak_of_it(folder, monkeypatch, capsys):
    monkeypatch.delenv("DAGSTER_HOME")
    synthetic_ohlcv(FIRST, 30).to_csv("hours.csv", index=False)
    assert main(["import-ohlcv", "hours.csv", "--duckdb", "o.duckdb", "--table", "t"]) == 0
    output = capsys.readouterr()
    assert "30 rows new" in output.out
    assert output.err == ""
    assert not LOCAL_HOME.exists()


def test_import_reports_the_hours_to_a_local_home_that_is_there(folder, monkeypatch, capsys):
    monkeypatch.delenv("DAGSTER_HOME")
    LOCAL_HOME.mkdir()
    synthetic_ohlcv(FIRST, 30).to_csv("hours.csv", index=False)
    assert main(["import-ohlcv", "hours.csv", "--duckdb", "o.duckdb", "--table", "t"]) == 0
    assert capsys.readouterr().err == ""
    with dg.DagsterInstance.get() as instance:
        assert len(instance.get_materialized_partitions(dg.AssetKey(["t", "ohlcv"]))) == 30


def test_import_of_what_is_no_table_of_bars_is_one_line_and_exit_code_2(folder, capsys):
    Path("hours.csv").write_text("a,b\n1,2\n")
    assert main(["import-ohlcv", "hours.csv", "--duckdb", "o.duckdb", "--table", "t"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not Path("o.duckdb").exists()


@pytest.fixture
def production(folder):
    """A market with ten hours stored under the key `production`."""
    market = small_market(folder)
    assert main(["run", *WHERE, *LOOKBACK, "--feature-key", "production", *window(LAST - 9 * HOUR, LAST)]) == 0
    return market, ["selftest", *WHERE, *LOOKBACK, "--compare-key", "production"]


def test_selftest_passes_on_rows_that_are_right_and_writes_nothing(production, capsys):
    market, arguments = production
    before = market.target_database.read_bytes()
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert "passed: 10 hours agree with production" in output
    assert market.target_database.read_bytes() == before


def test_selftest_fails_on_a_value_that_differs(production, capsys):
    market, arguments = production
    changed = """UPDATE features SET features = json_merge_patch(features, '{"log_close_1H": 1.5}') WHERE ts = ?"""
    execute_on_target(market, changed, LAST)
    assert main(arguments) == 3
    error = capsys.readouterr().err
    assert f"1 values differ: log_close_1H at {LAST}" in error


def test_selftest_never_touches_a_key_that_exists(production, capsys):
    market, arguments = production
    before = market.target_database.read_bytes()
    assert main([*arguments, "--feature-key", "production"]) == 0
    assert market.target_database.read_bytes() == before


def test_selftest_without_rows_to_compare_with_says_so(production, capsys):
    _, arguments = production
    assert main([*arguments[:-1], "nobody"]) == 2
    assert "no rows of 'nobody'" in capsys.readouterr().err


def test_demo_computes_stores_and_records_the_synthetic_market(folder, capsys):
    assert main(["demo", "--folder", "here", "--hours", "1500"]) == 0
    output = capsys.readouterr().out
    assert "a gap of 7 hours" in output
    assert "skipped 719 hours, warm-up" in output
    assert "skipped 593 hours, after a gap" in output
    market = load_market(folder / "here" / "configs" / "demo.yaml")
    (feature_set,) = market.feature_sets
    rows = read_features(market.target_database, feature_set.key)
    assert len(rows) == 1500 - 7 - 1312
    assert set(rows.columns) < set(feature_names())
    assert len(rows.columns) == 326
    with dg.DagsterInstance.from_config(str(folder / "here" / ".dagster_home")) as instance:
        assert instance.get_materialized_partitions(features_key(market, feature_set)) == set(
            partition_keys(rows.index)
        )
        present = instance.get_materialized_partitions(ohlcv_key(market))
        assert len(present) == 1493
        assert instance.get_materialized_partitions(bars_key(market, "1D")) == present
    assert main(["demo", "--folder", "here", "--hours", "1500"]) == 0
    assert "computed 0 hours of 326 features, kept 181" in capsys.readouterr().out


def test_demo_needs_more_hours_than_a_row_does(folder, capsys):
    assert main(["demo", "--folder", "here", "--hours", "800"]) == 2
    assert "too few" in capsys.readouterr().err


def test_the_feature_list_of_the_demo_is_the_production_models():
    names = read_feature_list(shipped_config(FEATURE_LIST), feature_names())
    counts = [sum(name.endswith(f"_{timeframe}") for name in names) for timeframe in ("1H", "4H", "12H", "1D")]
    assert counts == [90, 83, 81, 72]
    assert names == [name for name in feature_names() if name in set(names)]


HELP_LOADS_LITTLE = """
import sys
from feature_backfill.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
sys.exit("pandas" in sys.modules or "dagster" in sys.modules)
"""


@pytest.mark.parametrize("command", [[], ["run"], ["selftest"], ["import-ohlcv"], ["demo"]])
def test_help_is_there_without_loading_the_computation(command):
    arguments = [sys.executable, "-c", HELP_LOADS_LITTLE, *command, "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0
    assert "show this help message" in done.stdout
