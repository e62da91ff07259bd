"""A market with a lake, beside one with a file: the same tables, checks and commands."""

import json

import pandas as pd
import pytest

from feature_backfill import read_features
from feature_backfill.assets.features import OVERWRITE_TAG
from feature_backfill.assets.names import checks_key, features_key
from feature_backfill.checks.market import features_checks, look_at
from feature_backfill.checks.uniqueness import uniqueness
from feature_backfill.cli import main
from feature_backfill.definitions import build_definitions
from feature_backfill.errors import BAD_ARGUMENTS, DONE
from feature_backfill.hours import HOUR
from feature_backfill.store.database import connect
from feature_backfill_tests.lake.rows import repeat_a_row
from feature_backfill_tests.markets import LAST, LOOKBACK, TABLE, configure, execute, small_market
from feature_backfill_tests.runs import run_range

pytestmark = pytest.mark.lake

START = LAST - 60 * HOUR
TABLES = {
    "features": "feature_key, ts, CAST(features AS VARCHAR)",
    "feature_inputs": "feature_key, ts, digest, settings",
    "features_replaced": "feature_key, ts, CAST(features AS VARCHAR)",
    "feature_keys": "* EXCLUDE market",
    "bars_4h": "*",
    "bars_source": "* EXCLUDE market",
}


@pytest.fixture
def file_market(tmp_path):
    return small_market(tmp_path, name="of_file")


@pytest.fixture
def market(tmp_path, catalog, monkeypatch):
    """The market with a lake, in the configs folder."""
    market = small_market(tmp_path, target={"catalog": catalog, "data": "lake"})
    configure(market, tmp_path / "configs")
    monkeypatch.setenv("FEATURE_BACKFILL_CONFIGS", str(tmp_path / "configs"))
    monkeypatch.chdir(tmp_path)
    return market


def tables(market):
    with connect(market.target, read_only=True) as connection:
        return {
            table: sorted(connection.execute(f"SELECT {columns} FROM {table}").fetchall())
            for table, columns in TABLES.items()
        }


def test_the_tables_equal_those_of_a_file(instance, market, file_market):
    for each in (market, file_market):
        assert run_range(instance, each, START, LAST).success
    execute(market, f"UPDATE {TABLE} SET volume = volume + 1 WHERE timestamp = ?", LAST - 10 * HOUR)
    for each in (market, file_market):
        assert run_range(instance, each, START, LAST, tags={OVERWRITE_TAG: "true"}).success
    assert tables(market) == tables(file_market)
    assert len(tables(market)["features"]) == 61
    pd.testing.assert_frame_equal(read_features(market.target, "short"), read_features(file_market.target, "short"))


def test_checks_find_repeated_hours_and_an_overwrite_mends_them(instance, market, file_market, capsys):
    assert run_range(instance, market, START, LAST).success
    found = dict(look_at(market, market.feature_sets[0]))
    assert found["uniqueness"].passed
    assert uniqueness not in features_checks(file_market)
    repeat_a_row(market.target, LAST - 3 * HOUR)
    assert main(["check", "--feature-key", "short"]) != DONE
    assert f"1 with several rows, the newest {LAST - 3 * HOUR}" in capsys.readouterr().out
    assert main(["export", "rows.parquet", "--market", "small", "--feature-key", "short"]) == BAD_ARGUMENTS
    assert "has several rows under the key short" in capsys.readouterr().err
    assert run_range(instance, market, START, LAST, tags={OVERWRITE_TAG: "true"}).success
    assert dict(look_at(market, market.feature_sets[0]))["uniqueness"].passed
    assert len(read_features(market.target, "short")) == 61


def test_the_jobs_of_the_market_maintain_and_check_it(instance, market, file_market):
    assert run_range(instance, market, START, LAST).success
    definitions = build_definitions([market, file_market])
    assert definitions.resolve_job_def("maintain").execute_in_process(instance=instance).success
    definitions.resolve_job_def("small__checks").execute_in_process(instance=instance, raise_on_error=False)
    key = checks_key(features_key(market, market.feature_sets[0]))
    made = instance.get_latest_materialization_event(key).asset_materialization
    assert made.metadata["uniqueness/hours_with_several_rows"].value == 0
    assert "maintain" not in build_definitions([file_market]).get_repository_def().job_names


def test_the_commands_take_the_market_by_its_name(dagster_home, market, capsys):
    assert main(["run", "--feature-key", "short", "--start", str(START), "--end", str(LAST)]) == DONE
    capsys.readouterr()
    assert main(["keys", "--market", "small", "--json"]) == DONE
    (key,) = json.loads(capsys.readouterr().out)
    assert (key["key"], key["hours"]) == ("short", 61)
    assert main(["view", "v", "--feature-key", "short", "--market", "small"]) == DONE
    assert main(["export", "rows.parquet", "--feature-key", "short", "--market", "small"]) == DONE
    assert len(pd.read_parquet("rows.parquet")) == 61
    assert main(["export", "months", "--monthly", "--feature-key", "short", "--market", "small"]) == DONE
    assert main(["repair", "--market", "small"]) == DONE
    assert main(["status", "small"]) == DONE
    assert main(["maintain", "small", "--keep-days", "0"]) == DONE
    assert "snapshots expired" in capsys.readouterr().out
    assert main(["selftest", "--compare-key", "short", *LOOKBACK]) == DONE
    assert main(["retire-key", "--feature-key", "short", "--market", "small"]) == DONE
    assert "61 rows moved" in capsys.readouterr().out
    assert main(["prune", "--before", "2100-01-01", "--market", "small"]) == DONE
    assert "61 rows dropped" in capsys.readouterr().out
    assert main(["forget-ohlcv", "--market", "small"]) == DONE
    assert main(["maintain", "unknown"]) == BAD_ARGUMENTS
