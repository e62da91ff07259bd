"""Dagster's view and the tables, parted by kills and by hand, brought together again."""

import signal
import subprocess
import sys

import dagster as dg
import pandas as pd
import pytest
import yaml
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.test.utils import execute_dagster_graphql

from feature_backfill.assets.features import OVERWRITE_TAG
from feature_backfill.assets.names import hourly_partitions
from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.automation.jobs import range_tags
from feature_backfill.automation.repairs import repair
from feature_backfill.cli import main
from feature_backfill.commands.shared.backfill import QUIET
from feature_backfill.dagster_internals.orphans import SILENCE, end_orphans
from feature_backfill.dagster_internals.partition_wipe import wipe_partitions
from feature_backfill.definitions import build_definitions
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, hour_of, hour_range, partition_keys
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table
from feature_backfill_tests.markets import FIRST, GAP, TABLE, execute, small_market, stored

pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")

START = pd.Timestamp("2025-01-10")  # first hour of the market; its table begins earlier
LAST = GAP + 16 * HOUR
RUN = hour_range(GAP - 15 * HOUR, GAP + 4 * HOUR)  # computed before the gap, skipped after it
OHLCV, BARS, FEATURES = (dg.AssetKey(["small", *path]) for path in (["ohlcv"], ["bars_4h"], ["features", "short"]))
ASSETS = [OHLCV, BARS, FEATURES]
MATERIALIZED, FAILED, IN_PROGRESS = "materialized", "failed", "in progress"


@pytest.fixture
def market(tmp_path, monkeypatch):
    """A market in the configs folder, with 46 partitions."""
    hours = int((LAST - FIRST) / HOUR) + 1
    market = small_market(tmp_path, hours=hours, first_hour=START)
    fields = market.model_dump(mode="json", include={"name", "target_database"})
    source = {"database": str(market.source.database), "table": TABLE}
    feature_sets = [{"key": "short", "base_hours": 48, "timeframes": ["1H", "4H"]}]
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "small.yaml").write_text(
        yaml.safe_dump({**fields, "first_hour": str(START), "source": source, "feature_sets": feature_sets})
    )
    monkeypatch.setenv("FEATURE_BACKFILL_CONFIGS", str(tmp_path / "configs"))
    return market


@pytest.fixture
def own_instance(tmp_path, monkeypatch):
    """An instance with Dagster's default storage."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture(params=["instance", "own_instance"])
def either_instance(request):
    return request.getfixturevalue(request.param)


def run(instance, market, **more_tags):
    job = build_definitions([market]).resolve_job_def("small__short")
    tags = {**range_tags(RUN[0], RUN[-1]), **more_tags}
    return job.execute_in_process(instance=instance, run_config=QUIET, tags=tags, raise_on_error=False)


def change(market, statement, *values):
    with connect(market.target_database, read_only=False) as connection:
        connection.execute(statement, list(values))


def bars_stamps(database):
    with connect(database, read_only=True) as connection:
        stamps = connection.execute("SELECT timestamp FROM bars_4h ORDER BY timestamp").df()["timestamp"]
    return pd.DatetimeIndex(stamps).as_unit("us")


def ohlcv_stamps(market):
    with connect(market.source.database, read_only=True) as connection:
        rows = connection.execute(f"SELECT timestamp FROM {TABLE} WHERE timestamp >= ?", [START]).df()
    return set(pd.DatetimeIndex(rows["timestamp"]))


def materialized(instance, asset):
    return {hour_of(key) for key in instance.get_materialized_partitions(asset)}


def status(instance, market):
    """Hours of the features by status, through the cache that the webserver reads and keeps."""
    cached = get_and_update_asset_status_cache_value(instance, FEATURES, hourly_partitions(market))
    subsets = {
        MATERIALIZED: cached.deserialize_materialized_partition_subsets(hourly_partitions(market)),
        FAILED: cached.deserialize_failed_partition_subsets(hourly_partitions(market)),
        IN_PROGRESS: cached.deserialize_in_progress_partition_subsets(hourly_partitions(market)),
    }
    return {name: {hour_of(key) for key in subset.get_partition_keys()} for name, subset in subsets.items() if subset}


QUERY = """
query Market($keys: [AssetKeyInput!]!) {
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    partitionStats { numMaterialized }
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
  }
}
"""


def seen(instance):
    """The webserver's view: hours by asset and status. It reads, and keeps, Dagster's cache of partition status."""
    origin = LoadableTargetOrigin(module_name="feature_backfill.definitions", attribute="defs")
    with in_process_test_workspace(instance, origin) as workspace:
        variables = {"keys": [asset.to_graphql_input() for asset in ASSETS]}
        nodes = execute_dagster_graphql(workspace, QUERY, variables).data["assetNodes"]
    views = {}
    for node in nodes:
        view = {}
        for found in node["assetPartitionStatuses"]["ranges"]:
            hours = hour_range(hour_of(found["startKey"]), hour_of(found["endKey"]))
            view.setdefault(found["status"], set()).update(hours)
        assert len(view.get("MATERIALIZED", ())) == node["partitionStats"]["numMaterialized"]
        views[dg.AssetKey(node["assetKey"]["path"])] = view
    return views


def counts(differences):
    """Hours reported, taken back and left alone, by asset."""
    return {d.asset: (len(d.unshown), len(d.gone), d.agreeing) for d in differences}


def test_rows_that_a_failed_run_was_to_replace_read_materialized_again(instance, market):
    assert run(instance, market).success
    rows = set(stored(market)["ts"])
    change(market, "ALTER TABLE bars_4h RENAME TO kept")
    change(market, "CREATE VIEW bars_4h AS SELECT 1 AS timestamp")
    assert not run(instance, market, **{OVERWRITE_TAG: "true"}).success
    change(market, "DROP VIEW bars_4h")
    change(market, "ALTER TABLE kept RENAME TO bars_4h")
    assert status(instance, market)[FAILED] == set(RUN)
    report_ohlcv(instance, market, hour_range(START, LAST))
    assert counts(repair(instance, market)) == {OHLCV: (0, 0, 45), BARS: (20, 0, 0), FEATURES: (15, 0, 0)}
    assert status(instance, market) == {MATERIALIZED: rows, FAILED: set(RUN) - rows}
    assert counts(repair(instance, market)) == {OHLCV: (0, 0, 45), BARS: (0, 0, 20), FEATURES: (0, 0, 15)}


def part_by_hand(market):
    """Change rows behind Dagster's back; returns the hours whose bar is then gone or wrong."""
    computed = list(stored(market)["ts"])
    change(market, "DELETE FROM features WHERE ts IN (?, ?, ?)", computed[0], computed[5], computed[-1])
    for ts in (START, START + HOUR, START - HOUR, START + HOUR / 2):  # the last two are no partition
        change(market, "INSERT INTO features (feature_key, ts, features) VALUES ('short', ?, '{}')", ts)
    lost, changed = RUN[2::4][:2]
    change(market, "DELETE FROM bars_4h WHERE timestamp = ?", lost)
    change(market, "UPDATE bars_4h SET close = close * 1.001 WHERE timestamp = ?", changed)
    change(market, "INSERT INTO bars_4h VALUES (?, 1, 1, 1, 1, 1)", GAP + 3 * HOUR)  # OHLCV gives no bar there
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp IN (?, ?)", LAST, START + 3 * HOUR)
    return {lost, changed, GAP + 3 * HOUR}


def test_what_was_parted_by_hand_agrees_again(either_instance, market):
    instance = either_instance
    done = run(instance, market)
    assert done.success
    report_ohlcv(instance, market, hour_range(START, LAST))
    in_order = {OHLCV: (0, 0, 45), BARS: (0, 0, 20), FEATURES: (0, 0, 15)}
    assert counts(repair(instance, market)) == in_order
    before = seen(instance)
    assert {asset: len(view["MATERIALIZED"]) for asset, view in before.items()} == {OHLCV: 45, BARS: 20, FEATURES: 15}

    wrong_bars = part_by_hand(market)
    differing = {OHLCV: (0, 2, 43), BARS: (2, 3, 17), FEATURES: (2, 3, 12)}
    assert counts(repair(instance, market, dry_run=True)) == differing
    assert {asset: materialized(instance, asset) for asset in ASSETS} == {
        asset: view["MATERIALIZED"] for asset, view in before.items()
    }, "a dry run changes nothing"
    assert counts(repair(instance, market)) == differing
    assert counts(repair(instance, market)) == {OHLCV: (0, 0, 43), BARS: (0, 0, 19), FEATURES: (0, 0, 14)}

    rows = {hour for hour in stored(market)["ts"] if hour >= START and hour == hour.floor("h")}
    expected = {OHLCV: ohlcv_stamps(market), BARS: (set(RUN) | rows) - wrong_bars, FEATURES: rows}
    assert len(wrong_bars) == 3
    for asset, view in seen(instance).items():
        assert view == {"MATERIALIZED": expected[asset]}
        assert materialized(instance, asset) == expected[asset]

    kept = sorted(rows - {START, START + HOUR})
    assert instance.get_latest_materialization_event(BARS).asset_materialization.partition in partition_keys(
        pd.DatetimeIndex(sorted(expected[BARS]))
    )
    latest = {
        record.partition_key: record.run_id for record in instance.fetch_materializations(FEATURES, limit=100).records
    }
    assert latest == {
        **dict.fromkeys(partition_keys(pd.DatetimeIndex(kept)), done.run_id),
        **dict.fromkeys(partition_keys(hour_range(START, START + HOUR)), ""),
    }
    assert len(instance.fetch_observations(FEATURES, limit=100).records) == 5, "reasons of skipped hours are kept"
    logged = instance.all_logs(done.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert len(logged) == 20 + 15, "the log of the run is what it was"


KILLED_AFTER_STORING = """
import os, signal, sys
import dagster as dg
from feature_backfill.assets.progress import ProgressListener
from feature_backfill.config import load_markets
from feature_backfill.definitions import build_definitions

class Kills(ProgressListener):
    def stored(self, hours):
        os.kill(os.getpid(), signal.SIGKILL)

job = build_definitions(load_markets(), Kills()).resolve_job_def("small__short")
tags = {"dagster/asset_partition_range_start": sys.argv[1], "dagster/asset_partition_range_end": sys.argv[2]}
job.execute_in_process(instance=dg.DagsterInstance.get(), tags=tags)
"""


def test_rows_of_a_killed_run_are_shown_and_skipped_hours_read_missing(instance, market):
    command = [sys.executable, "-c", KILLED_AFTER_STORING, *partition_keys(RUN[[0, -1]])]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert len(stored(market)) == 15
    assert status(instance, market) == {IN_PROGRESS: set(RUN)}
    (killed,) = instance.get_run_ids()

    assert end_orphans(instance, dry_run=True) == [killed]
    assert instance.get_run_by_id(killed).status == dg.DagsterRunStatus.STARTED
    assert end_orphans(instance) == [killed]
    assert instance.event_log_storage.get_concurrency_run_ids() == set()
    assert counts(repair(instance, market)) == {OHLCV: (45, 0, 0), BARS: (0, 0, 20), FEATURES: (15, 0, 0)}
    assert status(instance, market) == {MATERIALIZED: set(RUN[:15]), FAILED: set(RUN[15:])}

    assert run(instance, market).success
    assert status(instance, market)[FAILED], "Dagster's cache keeps what a run failed on and the next one skipped"
    repair(instance, market)
    assert status(instance, market) == {MATERIALIZED: set(RUN[:15])}


def test_a_status_that_a_webserver_kept_from_before_is_worked_out_anew(instance, market):
    with connect(market.target_database, read_only=False) as connection:
        ensure_features_table(connection)
        for hour in RUN[:2]:
            connection.execute("INSERT INTO features (feature_key, ts, features) VALUES ('short', ?, '{}')", [hour])
    repair(instance, market)
    kept = get_and_update_asset_status_cache_value(instance, FEATURES, hourly_partitions(market))
    change(market, "DELETE FROM features WHERE ts = ?", RUN[0])
    repair(instance, market)
    instance.update_asset_cached_status_data(FEATURES, kept)
    assert status(instance, market) == {MATERIALIZED: set(RUN[:2])}
    repair(instance, market)
    assert status(instance, market) == {MATERIALIZED: {RUN[1]}}


def test_a_run_that_was_killed_before_it_began_is_ended_once_it_has_gone_silent(instance, market):
    job = build_definitions([market]).resolve_job_def("small__short")
    unstarted = instance.create_run_for_job(job, tags=range_tags(RUN[0], RUN[1]))
    now = pd.Timestamp.now(tz="UTC").tz_localize(None)
    assert end_orphans(instance, now=now) == []
    later = now + SILENCE + pd.Timedelta(minutes=1)
    assert end_orphans(instance, dry_run=True, now=later) == end_orphans(instance, now=later) == [unstarted.run_id]
    assert instance.get_run_by_id(unstarted.run_id).status == dg.DagsterRunStatus.FAILURE


def test_what_is_reported_after_the_question_stays(either_instance):
    asset, hour, other = dg.AssetKey("features"), "2025-01-10-00:00", "2025-01-10-01:00"

    def report():
        for partition in (hour, other):
            either_instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=partition))
        return max(r.storage_id for r in either_instance.fetch_materializations(asset, limit=10).records)

    asked = report()
    stored_meanwhile = report()
    wipe_partitions(either_instance, asset, [hour], asked)
    assert either_instance.get_materialized_partitions(asset) == {hour, other}
    wipe_partitions(either_instance, asset, [hour], stored_meanwhile)
    assert either_instance.get_materialized_partitions(asset) == {other}
    wipe_partitions(either_instance, asset, [other], stored_meanwhile)
    assert either_instance.get_latest_materialization_event(asset) is None


def test_a_lost_target_database_leaves_nothing_shown_and_a_lost_folder_changes_nothing(instance, market, tmp_path):
    assert run(instance, market).success
    away = market.target_database.rename(tmp_path / "away.duckdb")
    wrong = len(market_bars := bars_stamps(away)[bars_stamps(away).isin(RUN)])
    assert counts(repair(instance, market))[FEATURES] == (0, 15, 0)
    assert materialized(instance, FEATURES) == set()
    assert materialized(instance, BARS) == set(RUN) - set(market_bars)
    away.rename(market.target_database)
    assert counts(repair(instance, market)) == {OHLCV: (0, 0, 45), BARS: (wrong, 0, 20 - wrong), FEATURES: (15, 0, 0)}

    unmounted = small_market(tmp_path, first_hour=START, target_database="disk/features.duckdb")
    with pytest.raises(UserError, match=r"no folder .*disk"):
        repair(instance, unmounted)
    assert materialized(instance, FEATURES) == set(RUN[:15])


def test_the_job_repairs_and_tells(instance, market):
    job = build_definitions([market]).resolve_job_def("small__repair")
    dry = job.execute_in_process(
        instance=instance, run_config={"ops": {"small__repair_op": {"config": {"dry_run": True}}}}
    )
    assert materialized(instance, OHLCV) == set()
    result = job.execute_in_process(instance=instance)
    assert materialized(instance, OHLCV) == ohlcv_stamps(market)
    told = [{log.user_message for log in instance.all_logs(each.run_id)} for each in (dry, result)]
    assert "small/ohlcv: 45 hours to report, 0 no longer stored, 0 in order" in told[0]
    assert "small/ohlcv: 45 hours reported, 0 no longer stored, 0 in order" in told[1]


def test_the_command_repairs_all_markets_or_the_one_of_the_flags(dagster_home, market, tmp_path, capsys):
    flags = ["--duckdb", str(tmp_path / "ohlcv.duckdb"), "--table", TABLE, "--feature-key", "short"]
    assert main(["repair", "--dry-run", *flags, "--feat-duckdb", str(market.target_database)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "small/ohlcv: 45 hours to report, 0 no longer stored, 0 in order",
        "small/bars_4h: 0 hours to report, 0 whose bar is gone or differs from OHLCV, 0 in order",
        "small/features/short: 0 hours to report, 0 no longer stored, 0 in order",
    ]
    assert main(["repair"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "small/ohlcv: 45 hours reported, 0 no longer stored, 0 in order"
    assert main(["repair", "--market", "small"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "small/ohlcv: 0 hours reported, 0 no longer stored, 45 in order"


def test_what_an_operator_gets_wrong_is_told_in_one_line(dagster_home, market, tmp_path, capsys):
    def told(*arguments):
        assert main(["repair", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "no market large in" in told("--market", "large")
    assert "--feature-key" in told("--duckdb", "ohlcv.duckdb")
    execute(market, f"ALTER TABLE {TABLE} RENAME TO elsewhere")
    assert f"no table {TABLE}" in told()
    market.source.database.unlink()
    assert "no DuckDB file" in told()
    (tmp_path / "configs" / "small.yaml").unlink()
    assert "no market YAML in" in told()
