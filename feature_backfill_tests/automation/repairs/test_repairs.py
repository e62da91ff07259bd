"""Dagster's view and the tables, made to differ by kills and by hand, and made to agree again."""

import signal
import subprocess
import sys

import dagster as dg
import pandas as pd
import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from feature_backfill.assets.features import OVERWRITE_TAG
from feature_backfill.assets.names import hourly_partitions
from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.automation.repairs import repair
from feature_backfill.dagster_internals.orphans import end_orphans
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, hour_range, partition_keys
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table
from feature_backfill_tests.automation.repairs.views import (
    ASSETS,
    BARS,
    FAILED,
    FEATURES,
    IN_PROGRESS,
    LAST,
    MATERIALIZED,
    OHLCV,
    RUN,
    START,
    counts,
    materialized,
    ohlcv_stamps,
    seen,
    status,
)
from feature_backfill_tests.markets import GAP, TABLE, execute, execute_on_target, small_market, stored
from feature_backfill_tests.postgres import ON_EITHER
from feature_backfill_tests.runs import run_range
from feature_backfill_tests.targets import FILE_ONLY

pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")


@ON_EITHER
def test_rows_that_a_failed_run_was_to_replace_read_materialized_again(instance, market):
    assert run_range(instance, market, RUN[0], RUN[-1]).success
    rows = set(stored(market)["ts"])
    execute_on_target(market, "ALTER TABLE bars_4h RENAME TO kept")
    execute_on_target(market, "CREATE VIEW bars_4h AS SELECT 1 AS timestamp")
    assert not run_range(instance, market, RUN[0], RUN[-1], tags={OVERWRITE_TAG: "true"}).success
    execute_on_target(market, "DROP VIEW bars_4h")
    execute_on_target(market, "ALTER TABLE kept RENAME TO bars_4h")
    assert status(instance, market)[FAILED] == set(RUN)
    report_ohlcv(instance, market, hour_range(START, LAST))
    assert counts(repair(instance, market)) == {OHLCV: (0, 0, 45), BARS: (19, 0, 0), FEATURES: (15, 0, 0)}
    assert status(instance, market) == {MATERIALIZED: rows, FAILED: set(RUN) - rows}
    assert counts(repair(instance, market)) == {OHLCV: (0, 0, 45), BARS: (0, 0, 19), FEATURES: (0, 0, 15)}


def part_by_hand(market):
    """Change rows behind Dagster's back; returns the hours whose bar is then gone or wrong."""
    computed = list(stored(market)["ts"])
    execute_on_target(market, "DELETE FROM features WHERE ts IN (?, ?, ?)", computed[0], computed[5], computed[-1])
    for ts in (START, START + HOUR, START - HOUR, START + HOUR / 2):  # the last two are no partition
        execute_on_target(market, "INSERT INTO features (feature_key, ts, features) VALUES ('short', ?, '{}')", ts)
    lost, changed = RUN[2::4][:2]
    execute_on_target(market, "DELETE FROM bars_4h WHERE timestamp = ?", lost)
    execute_on_target(market, "UPDATE bars_4h SET close = close * 1.001 WHERE timestamp = ?", changed)
    execute_on_target(
        market, "INSERT INTO bars_4h VALUES (?, 1, 1, 1, 1, 1)", GAP + 3 * HOUR
    )  # OHLCV gives no bar there
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp IN (?, ?)", LAST, START + 3 * HOUR)
    return {lost, changed, GAP + 3 * HOUR}


def test_what_was_parted_by_hand_agrees_again(either_instance, market):
    instance = either_instance
    done = run_range(instance, market, RUN[0], RUN[-1])
    assert done.success
    report_ohlcv(instance, market, hour_range(START, LAST))
    in_order = {OHLCV: (0, 0, 45), BARS: (0, 0, 19), FEATURES: (0, 0, 15)}
    assert counts(repair(instance, market)) == in_order
    before = seen(instance)
    assert {asset: len(view["MATERIALIZED"]) for asset, view in before.items()} == {OHLCV: 45, BARS: 19, FEATURES: 15}

    log_before = instance.all_logs(done.run_id)
    wrong_bars = part_by_hand(market)
    differing = {OHLCV: (0, 2, 43), BARS: (2, 3, 16), FEATURES: (2, 3, 12)}
    assert counts(repair(instance, market, dry_run=True)) == differing
    assert {asset: materialized(instance, asset) for asset in ASSETS} == {
        asset: view["MATERIALIZED"] for asset, view in before.items()
    }, "a dry run changes nothing"
    assert counts(repair(instance, market)) == differing
    assert counts(repair(instance, market)) == {OHLCV: (0, 0, 43), BARS: (0, 0, 18), FEATURES: (0, 0, 14)}

    rows = {hour for hour in stored(market)["ts"] if hour >= START and hour == hour.floor("h")}
    expected = {
        OHLCV: ohlcv_stamps(market),
        BARS: ((set(RUN) | rows) - wrong_bars) & ohlcv_stamps(market),
        FEATURES: rows,
    }
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
    reasons = [
        *instance.fetch_observations(FEATURES, limit=100).records,
        *instance.fetch_failed_materializations(FEATURES, limit=100).records,
    ]
    assert len(reasons) == 5, "reasons of skipped hours are kept"
    assert instance.all_logs(done.run_id) == log_before, "the log of the run is what it was"


KILLED_AFTER_STORING = """
import os, signal, sys
import dagster as dg
from feature_backfill.assets.progress import ProgressListener
from feature_backfill.config import read_markets
from feature_backfill.definitions import build_definitions

class Kills(ProgressListener):
    def stored(self, hours):
        os.kill(os.getpid(), signal.SIGKILL)

job = build_definitions(read_markets().valid, Kills()).resolve_job_def("small__short")
tags = {"dagster/asset_partition_range_start": sys.argv[1], "dagster/asset_partition_range_end": sys.argv[2]}
job.execute_in_process(instance=dg.DagsterInstance.get(), tags=tags)
"""


@ON_EITHER
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
    assert counts(repair(instance, market)) == {OHLCV: (26, 0, 19), BARS: (0, 0, 19), FEATURES: (15, 0, 0)}
    assert status(instance, market) == {MATERIALIZED: set(RUN[:15]), FAILED: set(RUN[15:])}

    assert run_range(instance, market, RUN[0], RUN[-1]).success
    assert status(instance, market) == {MATERIALIZED: set(RUN[:15])}


@ON_EITHER
def test_a_status_that_a_webserver_kept_from_before_is_worked_out_anew(instance, market):
    with connect(market.target, read_only=False) as connection:
        ensure_features_table(connection)
        for hour in RUN[:2]:
            connection.execute("INSERT INTO features (feature_key, ts, features) VALUES ('short', ?, '{}')", [hour])
    repair(instance, market)
    kept = get_and_update_asset_status_cache_value(instance, FEATURES, hourly_partitions(market))
    execute_on_target(market, "DELETE FROM features WHERE ts = ?", RUN[0])
    repair(instance, market)
    instance.update_asset_cached_status_data(FEATURES, kept)
    assert status(instance, market) == {MATERIALIZED: set(RUN[:2])}
    repair(instance, market)
    assert status(instance, market) == {MATERIALIZED: {RUN[1]}}


def bars_stamps(database):
    with connect(database, read_only=True) as connection:
        stamps = connection.execute("SELECT timestamp FROM bars_4h ORDER BY timestamp").df()["timestamp"]
    return pd.DatetimeIndex(stamps).as_unit("us")


@FILE_ONLY
def test_a_lost_target_database_leaves_nothing_shown_and_a_lost_folder_changes_nothing(instance, market, tmp_path):
    assert run_range(instance, market, RUN[0], RUN[-1]).success
    away = market.target_database.rename(tmp_path / "away.duckdb")
    wrong = len(market_bars := bars_stamps(away)[bars_stamps(away).isin(RUN)])
    assert counts(repair(instance, market))[FEATURES] == (0, 15, 0)
    assert materialized(instance, FEATURES) == set()
    assert materialized(instance, BARS) == set(RUN) - {GAP} - set(market_bars)
    away.rename(market.target_database)
    assert counts(repair(instance, market)) == {OHLCV: (0, 0, 45), BARS: (wrong, 0, 19 - wrong), FEATURES: (15, 0, 0)}

    unmounted = small_market(tmp_path, first_hour=START, target_database="disk/features.duckdb")
    with pytest.raises(UserError, match=r"no folder .*disk"):
        repair(instance, unmounted)
    assert materialized(instance, FEATURES) == set(RUN[:15])
