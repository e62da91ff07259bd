"""The example in a copy of its folder: its one command, both ways into Dagster, and every hour of a run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest

from feature_backfill import feature_names, read_features

pytestmark = pytest.mark.live

EXAMPLE = Path(__file__).parents[1]
HOURS = 22


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The folder after `python -m my_desk`, which this process imports from too."""
    folder = tmp_path_factory.mktemp("example") / "my_desk"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("data", ".dagster_home", "__pycache__"))
    done = subprocess.run([sys.executable, "-m", "my_desk"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("FEATURE_BACKFILL_CONFIGS", str(folder / "configs"))
        patch.setenv("DAGSTER_HOME", str(folder / ".dagster_home"))
        yield folder, done.stdout


@pytest.fixture
def instance(desk):
    with dg.DagsterInstance.get() as instance:
        yield instance


def predictions(folder):
    with duckdb.connect(folder / "data" / "predictions.duckdb", read_only=True) as connection:
        return connection.sql("FROM predictions ORDER BY ts").df().set_index("ts")["up"]


def test_one_command_tries_the_features_and_predicts_from_them(desk):
    folder, output = desk
    assert output.count("sound") == 8
    assert "wrong" not in output
    rows = read_features(folder / "data" / "features.duckdb", "desk")
    assert len(rows) == HOURS
    assert list(rows.columns[:440]) == feature_names()
    assert list(rows.columns[440:444]) == [
        f"desk_{name}_1H" for name in ("momentum_20", "over_ema_50", "close_in_range_5", "taker_share_10")
    ]
    predicted = predictions(folder)
    assert list(predicted.index) == list(rows.index)
    assert predicted.between(0, 1, inclusive="neither").all()


@pytest.mark.parametrize("way", [("-w", "workspace.yaml"), ("-m", "my_desk.merged")])
def test_both_ways_into_dagster_are_valid(desk, way):
    folder, _ = desk
    command = [sys.executable, "-m", "dagster", "definitions", "validate", *way]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_hour_of_a_run_is_asked_for(desk, instance):
    """Dagster's automation, evaluated before and after a run over 22 hours."""
    from my_desk import merged
    from my_desk.market import FIRST_HOUR

    from feature_backfill.dagster import features_key, load_markets, partition_key

    (market,) = load_markets()
    key, definitions = dg.AssetKey(["btcusdt", "predictions"]), merged.defs()

    def evaluate(cursor):
        return dg.evaluate_automation_conditions(definitions, instance, dg.AssetSelection.assets(key), cursor=cursor)

    before = evaluate(None)
    first = FIRST_HOUR + pd.Timedelta(hours=800)
    hours = [partition_key(first + pd.Timedelta(hours=hour)) for hour in range(HOURS)]
    done = definitions.resolve_job_def("btcusdt__desk").execute_in_process(
        instance=instance,
        tags={"dagster/asset_partition_range_start": hours[0], "dagster/asset_partition_range_end": hours[-1]},
    )
    assert done.success
    assert len(instance.get_materialized_partitions(features_key(market, market.feature_sets[0]))) == 2 * HOURS
    after = evaluate(before.cursor)
    assert after.get_requested_partitions(key) == set(hours)
    assert evaluate(after.cursor).total_requested == 0


def test_no_prediction_rests_on_rows_that_failed_a_check(desk, instance):
    from my_desk import merged

    from feature_backfill.dagster import checks_key, features_key, load_markets, partition_key

    folder, _ = desk
    (market,) = load_markets()
    (feature_set,) = market.feature_sets
    newest = predictions(folder).index[-1]
    with duckdb.connect(market.target_database) as connection:
        connection.execute("UPDATE features SET features = '{}' WHERE ts = ?", [newest])
    definitions = merged.defs()
    checks = dg.define_asset_job(
        "checks", selection=dg.AssetSelection.checks_for_assets(checks_key(features_key(market, feature_set)))
    )
    definitions = dg.Definitions.merge(definitions, dg.Definitions(jobs=[checks]))
    assert not definitions.resolve_job_def("checks").execute_in_process(instance=instance, raise_on_error=False).success
    job = definitions.resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(["btcusdt", "predictions"])],
        partition_key=partition_key(newest),
        raise_on_error=False,
    )
    assert not done.success
    (failed,) = [event for event in done.all_events if event.is_step_failure]
    assert "no predictions on rows that failed a check: " in failed.step_failure_data.user_failure_data.description
