"""Flags beside the YAML of the same market: what contradicts it, what agrees with it, what is a separate market."""

import json

import dagster as dg
import pytest

from feature_backfill.assets.names import bars_key, features_key, ohlcv_key
from feature_backfill.cli import main
from feature_backfill.config import load_market
from feature_backfill.hours import HOUR, hour_range, partition_keys
from feature_backfill_tests.markets import LAST, TABLE, small_market, stored

NAMES = ["close_sma_20_4H", "log_close_1H", "close_hurst_100_1H"]
YAML = f"""\
name: small
first_hour: 2025-01-01
source: {{database: ../ohlcv.duckdb, table: {TABLE}}}
target_database: ../features.duckdb
feature_sets:
  - {{key: short, base_hours: 48, timeframes: [1H, 4H], feature_list: names.json}}
"""
WHERE = ("--duckdb", "ohlcv.duckdb", "--table", TABLE)
KEY = ("--feature-key", "short")


@pytest.fixture
def market(tmp_path, monkeypatch, dagster_home):
    monkeypatch.chdir(tmp_path)
    small_market(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "names.json").write_text(json.dumps(NAMES))
    (tmp_path / "configs" / "small.yaml").write_text(YAML)
    return load_market(tmp_path / "configs" / "small.yaml")


def run(*flags, hour=LAST):
    return main(["run", *WHERE, *KEY, "--start", str(hour), "--end", str(hour), *flags])


def test_a_list_of_the_same_names_is_the_same_list(market, tmp_path, capsys):
    (tmp_path / "copy.json").write_text(json.dumps(NAMES, indent=4))
    assert run("--feature-list", "copy.json") == 0
    assert list(json.loads(stored(market)["features"].item())) == NAMES
    (tmp_path / "copy.json").write_text(json.dumps(NAMES[::-1]))
    assert run("--feature-list", "copy.json", "--overwrite") == 2
    assert "--feature-list differs from what configs/ says" in capsys.readouterr().err


def test_missing_is_decided_by_the_rows_where_the_yaml_says_auto(market, capsys):
    assert run("--missing", "nan") == 0
    assert "NaN" in stored(market)["features"].item()
    assert run("--missing", "null", hour=LAST - HOUR) == 2
    assert "missing values: nan there, null here" in capsys.readouterr().err


def test_missing_that_the_yaml_fixes_is_contradicted(market, tmp_path, capsys):
    (tmp_path / "configs" / "small.yaml").write_text(YAML.replace("{key: short", "{key: short, missing: nan"))
    assert run("--missing", "null") == 2
    assert "--missing differs from what configs/ says" in capsys.readouterr().err


def shown(market, instance):
    (feature_set,) = market.feature_sets
    assets = (ohlcv_key(market), bars_key(market, "4H"), features_key(market, feature_set))
    return [instance.get_materialized_partitions(asset) for asset in assets]


def test_another_target_database_is_a_separate_market(market, tmp_path):
    assert run() == 0
    with dg.DagsterInstance.get() as instance:
        before = shown(market, instance)
    rows = stored(market)
    hours = hour_range(LAST - 5 * HOUR, LAST - 2 * HOUR)
    other = ("--feat-duckdb", "trial.duckdb", "--base-hours", "24")
    assert main(["run", *KEY, *other, "--start", str(hours[0]), "--end", str(hours[-1])]) == 0
    assert stored(market).equals(rows)
    separate = market.model_copy(update={"name": "small_trial", "target": tmp_path / "trial.duckdb"})
    assert list(stored(separate)["ts"]) == list(hours)
    with dg.DagsterInstance.get() as instance:
        assert shown(market, instance) == before
        assert shown(separate, instance) == [set(partition_keys(hours))] * 3
    assert main(["repair", *KEY, *other]) == 0
    with dg.DagsterInstance.get() as instance:
        assert shown(market, instance) == before


def test_the_target_database_of_another_market_is_refused(market, tmp_path, capsys):
    other = YAML.replace("name: small", "name: other").replace(TABLE, "elsewhere").replace("features.", "theirs.")
    (tmp_path / "configs" / "other.yaml").write_text(other)
    assert run("--feat-duckdb", "theirs.duckdb") == 2
    assert "is the target database of market other" in capsys.readouterr().err
    assert not (tmp_path / "theirs.duckdb").exists()
