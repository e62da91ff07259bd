"""Runs on a Ray cluster: of a job and of a sensor, and what becomes of those whose node is lost."""

import os
import subprocess
import sys

import dagster as dg
import pandas as pd
import psutil
import pytest
from dagster._core.launcher import WorkerStatus

from feature_backfill.assets.names import bars_key, features_key
from feature_backfill.dagster_internals.orphans import end_orphans
from feature_backfill.hours import HOUR, hour_range, hours_of, partition_keys
from feature_backfill_tests.cluster.scene import Cluster
from feature_backfill_tests.dagster_internals.history import BATCHED
from feature_backfill_tests.markets import FIRST, GAP, LAST, append_ohlcv, configure, small_market, stored
from feature_backfill_tests.processes import alive
from feature_backfill_tests.runs import run_range
from feature_backfill_tests.ui import server
from feature_backfill_tests.ui.server import until

pytestmark = pytest.mark.cluster

COMPUTABLE = hour_range(FIRST + 47 * HOUR, LAST).difference(hour_range(GAP, GAP + 47 * HOUR))
LAUNCHED = "Ray run job created"
LONG = 9_000
FULL = {"name": "long", "feature_sets": [{"key": "full"}]}


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr(server, "PATIENCE_S", 240)


def launched_on_ray(cluster: Cluster, run: dg.DagsterRun) -> bool:
    said = cluster.instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records
    return any(LAUNCHED in (record.event_log_entry.get_dagster_event().message or "") for record in said)


def shown(cluster: Cluster, asset: dg.AssetKey) -> list[pd.Timestamp]:
    """The hours that Dagster shows as materialized, ascending."""
    return list(hours_of(sorted(cluster.instance.get_materialized_partitions(asset))))


def test_runs_of_a_job_and_of_a_sensor_are_executed_on_the_workers_and_recorded(cluster, tmp_path):
    market = small_market(tmp_path)
    configure(market, tmp_path)
    with cluster.dagster(tmp_path) as (ui, _):
        backfill = ui.finished(ui.launch_job("small__short", partition_keys(COMPUTABLE[:300])))
        assert backfill["status"] == "COMPLETED_SUCCESS"
        ui.start_sensor("new_hours")
        append_ohlcv(market, LAST + HOUR)
        until(lambda: True if stored(market)["ts"].max() == LAST + HOUR else None)
        assert list(stored(market)["ts"]) == [*COMPUTABLE, LAST + HOUR]
        runs = [*cluster.runs_of("small__short"), *cluster.runs_of("new_hours")]
        for run in runs:
            assert cluster.ended(run.run_id).status == dg.DagsterRunStatus.SUCCESS
            assert launched_on_ray(cluster, run)
    assert shown(cluster, features_key(market, market.feature_sets[0])) == [*COMPUTABLE, LAST + HOUR]


def test_a_run_whose_worker_is_killed_is_failed_and_retried_on_another(cluster, tmp_path):
    """As an asset backfill: Dagster ends one of a job with its last failed run, whether that is retried or not."""
    market = small_market(tmp_path, LONG, **FULL)
    (feature_set,) = market.feature_sets
    configure(market, tmp_path)
    bars = [bars_key(market, timeframe) for timeframe in feature_set.bar_timeframes]
    features = features_key(market, feature_set)
    last = FIRST + (LONG - 1) * HOUR
    with cluster.dagster(tmp_path) as (ui, _):
        ui.start_sensor("new_hours")
        ui.launch_assets([list(key.path) for key in (*bars, features)], partition_keys(hour_range(FIRST, last)))
        lost = until(lambda: next(iter(cluster.runs_about(features)), None))
        node = cluster.node_of(lost.run_id)
        until(lambda: True if cluster.instance.get_materialized_partitions(bars[0]) else None)
        cluster.nodes.kill(node)
        assert cluster.ended(lost.run_id).status == dg.DagsterRunStatus.FAILURE
        retried = until(lambda: next(iter(cluster.runs_about(features)[1:]), None))
        assert retried.parent_run_id == lost.run_id
        assert cluster.ended(retried.run_id).status == dg.DagsterRunStatus.SUCCESS
        assert len(cluster.runs_about(features)) == 2
    (tmp_path / "alone").mkdir()
    alone = small_market(tmp_path / "alone", LONG, **FULL)
    with dg.instance_for_test(overrides=BATCHED) as instance:
        assert run_range(instance, alone, FIRST, last).success
    columns = ["ts", "features"]
    assert stored(market, "full")[columns].equals(stored(alone, "full")[columns])
    assert shown(cluster, features) == list(stored(market, "full")["ts"])


def test_a_run_ends_with_its_node_when_ray_gives_the_node_up(cluster, tmp_path):
    """It would go on beside the run that Dagster makes of its hours."""
    market = small_market(tmp_path, LONG, **FULL)
    configure(market, tmp_path)
    last = FIRST + (LONG - 1) * HOUR
    cluster.nodes.start_worker("worker 2")
    with cluster.dagster(tmp_path) as (ui, _):
        before = len(cluster.runs_of("long__full"))
        ui.launch_job("long__full", partition_keys(hour_range(FIRST, last)))
        run = until(lambda: next(iter(cluster.runs_of("long__full")[before:]), None))
        process = psutil.Process(cluster.pid_of(run.run_id))
        cluster.nodes.kill_raylet(cluster.node_of(run.run_id))
        until(lambda: True if not alive([process]) else None)
        assert cluster.ended(run.run_id).status == dg.DagsterRunStatus.FAILURE


def test_a_run_of_a_command_line_is_lost_with_its_process_and_not_before(cluster, tmp_path):
    """Dagster's monitoring asks the launcher about it, and fails a run of which it hears anything but that it runs."""
    configure(small_market(tmp_path, LONG, **FULL), tmp_path)
    command = [sys.executable, "-m", "feature_backfill", "run", "--market", "long", "--feature-key", "full"]
    environment = {**os.environ, "FEATURE_BACKFILL_CONFIGS": str(tmp_path)}
    before = len(cluster.runs_of("long__full"))
    with subprocess.Popen([*command, "--start", str(FIRST)], cwd=tmp_path, env=environment) as process:
        run = until(lambda: next(iter(cluster.runs_of("long__full")[before:]), None))
        cluster.pid_of(run.run_id)
        assert cluster.instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
        assert end_orphans(cluster.instance) == []
        process.kill()
    assert end_orphans(cluster.instance) == [run.run_id]
