"""The history of many markets over a cluster, one of whose workers is lost, in a lake that all machines share."""

import json
import os
import subprocess
import sys

import dagster as dg
import pandas as pd
import pytest

from feature_backfill.assets.names import features_key
from feature_backfill.automation.history import wished_history
from feature_backfill.commands.shared.market_worker import Task, fill
from feature_backfill.dagster_internals.daemons import evaluates_sensors
from feature_backfill.hours import HOUR, hours_of
from feature_backfill.planning.plan import Keep
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill.store.bars import read_bars
from feature_backfill.store.database import connect
from feature_backfill_tests.cluster.scene import BUCKET
from feature_backfill_tests.markets import FIRST, TABLE, configure, put_ohlcv, small_market, stored
from feature_backfill_tests.ui import server
from feature_backfill_tests.ui.server import until

pytestmark = pytest.mark.cluster

NAMES = [f"m{number}" for number in range(8)]
HOURS = 3_000
LAST = FIRST + (HOURS - 1) * HOUR
SETS = [{"key": "full"}, {"key": "short", "base_hours": 168, "timeframes": ["1H", "4H"]}]


class _Silence:
    """Where a worker's messages go."""

    def put(self, message: tuple[str, int]) -> None:
        """Nobody listens."""


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr(server, "PATIENCE_S", 400)


def market_in(folder, name, **target):
    return small_market(
        folder, name=name, source={"database": f"{name}.duckdb", "table": TABLE}, feature_sets=SETS, **target
    )


def same_tables(one, other):
    for key in ("full", "short"):
        columns = ["ts", "features"]
        pd.testing.assert_frame_equal(stored(one, key)[columns], stored(other, key)[columns])
    for timeframe in one.bar_timeframes:
        bars = []
        for market in (one, other):
            with connect(market.target, read_only=True) as connection:
                bars.append(read_bars(connection, timeframe, FIRST, LAST))
        pd.testing.assert_frame_equal(*bars)


def test_history_over_a_cluster_ends_as_in_one_process_though_a_worker_is_killed(cluster, tmp_path, monkeypatch):
    configs = tmp_path / "configs"
    lake = {"catalog": cluster.catalog, "data": f"s3://{BUCKET}/lake"}
    for number, name in enumerate(NAMES):
        put_ohlcv(tmp_path / f"{name}.duckdb", synthetic_ohlcv(FIRST, HOURS, seed=number))
        configure(market_in(tmp_path, name, target=lake), configs)
    shared = {name: market_in(tmp_path, name, target=lake) for name in NAMES}
    command = [sys.executable, "-m", "feature_backfill", "run", "--all", "--json"]
    environment = {**os.environ, "FEATURE_BACKFILL_CONFIGS": str(configs)}
    with cluster.dagster(configs) as (ui, _):
        until(lambda: True if evaluates_sensors(cluster.instance) else None)
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            until(lambda: True if wished_history(cluster.instance, shared.values()) else None)
            ui.start_sensor("new_hours")
            lost = until(lambda: next(iter(cluster.runs_of("new_hours")), None))
            node = cluster.node_of(lost.run_id)
            until(lambda: True if any(len(stored(market)) for market in shared.values()) else None)
            cluster.nodes.kill(node)
            report, _ = process.communicate()
        assert process.returncode == 0
        assert cluster.ended(lost.run_id).status == dg.DagsterRunStatus.FAILURE
    sets = [each for market in json.loads(report)["markets"] for each in market["feature_sets"]]
    assert [each["computed"] for each in sets] == [HOURS - 719, HOURS - 167] * len(NAMES)
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.chdir(tmp_path)
    for name, market in shared.items():
        alone = market_in(tmp_path, name, target_database=f"{name}_alone.duckdb")
        assert fill(alone, Task(None, None, Keep.ALL, 0, dry_run=False), _Silence()).error is None
        same_tables(market, alone)
        for feature_set in market.feature_sets:
            shown = cluster.instance.get_materialized_partitions(features_key(market, feature_set))
            assert list(hours_of(sorted(shown))) == list(stored(market, feature_set.key)["ts"])
