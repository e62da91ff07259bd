"""`feature-backfill run` as its user calls it."""

import hashlib
import json
import subprocess
import sys

import dagster as dg
import duckdb
import pandas as pd
import pytest
from dagster._core.test_utils import create_run_for_test

from feature_backfill.assets.names import features_key, ohlcv_key
from feature_backfill.cli import main
from feature_backfill.hours import HOUR, hour_range, last_closed_hour, partition_keys
from feature_backfill_tests.commands.calls import run
from feature_backfill_tests.markets import (
    FIRST,
    GAP,
    LAST,
    LOOKBACK,
    TABLE,
    WHERE,
    configure,
    execute_on_target,
    stored,
    window,
)
from feature_backfill_tests.postgres import ON_EITHER


@ON_EITHER
def test_a_window_is_stored_once_and_replaced_on_request(market, capsys):
    source = hashlib.sha256(market.source.database.read_bytes()).digest()
    assert run(*window(LAST - 9 * HOUR, LAST)) == 0
    assert "computed 10 hours of 220 features, kept 0, skipped 0" in capsys.readouterr().out
    before = stored(market)
    assert list(before["ts"]) == list(hour_range(LAST - 9 * HOUR, LAST))
    assert run(*window(LAST - 9 * HOUR, LAST)) == 0
    assert "nothing to compute: all stored, 10 hours" in capsys.readouterr().out
    pd.testing.assert_frame_equal(stored(market), before)
    assert run(*window(LAST - 9 * HOUR, LAST), "--overwrite") == 0
    pd.testing.assert_frame_equal(stored(market), before)
    execute_on_target(market, "UPDATE features SET features = '{}'")
    assert run(*window(LAST - 9 * HOUR, LAST), "--overwrite") == 0
    pd.testing.assert_series_equal(stored(market)["features"], before["features"])
    assert (stored(market)["created_at"] > before["created_at"]).all()
    assert hashlib.sha256(market.source.database.read_bytes()).digest() == source


@ON_EITHER
def test_hours_after_a_gap_are_skipped_with_one_line_a_reason(market, capsys):
    assert run(*window(GAP - 5 * HOUR, GAP + 50 * HOUR)) == 0
    output = capsys.readouterr().out
    assert f"skipped 47 hours, after a gap: {GAP + HOUR} .. {GAP + 47 * HOUR}" in output
    assert "computed 8 hours of 220 features, kept 0, skipped 47" in output
    expected = hour_range(GAP - 5 * HOUR, GAP - HOUR).append(hour_range(GAP + 48 * HOUR, GAP + 50 * HOUR))
    assert list(stored(market)["ts"]) == list(expected)
    named = market.model_copy(update={"name": TABLE})
    with dg.DagsterInstance.get() as instance:
        materialized = instance.get_materialized_partitions(features_key(named, named.feature_sets[0]))
        assert materialized == set(partition_keys(expected))
        present = instance.get_materialized_partitions(ohlcv_key(named))
        assert present == set(partition_keys(hour_range(GAP - 5 * HOUR, GAP + 50 * HOUR).difference([GAP])))


def test_an_offset_is_converted_to_utc(market):
    run("--start", "2025-01-15T08:00+02:00", "--end", "2025-01-15T06:00")
    assert list(stored(market)["ts"]) == [pd.Timestamp("2025-01-15 06:00")]


def test_only_an_end_means_the_49_hours_up_to_it(market):
    run("--end", LAST)
    assert list(stored(market)["ts"]) == list(hour_range(LAST - 48 * HOUR, LAST))


def test_last_from_features_goes_on_after_the_newest_row_and_ignores_start(market):
    run(*window(LAST - 20 * HOUR, LAST - 15 * HOUR))
    assert run("--mode", "last_from_features", "--start", FIRST, "--end", LAST - 10 * HOUR) == 0
    assert list(stored(market)["ts"]) == list(hour_range(LAST - 20 * HOUR, LAST - 10 * HOUR))


def test_last_from_features_takes_no_row_of_an_hour_that_has_not_closed_for_the_newest(market):
    run(*window(LAST - 12 * HOUR, LAST - 10 * HOUR))
    execute_on_target(market, "UPDATE features SET ts = '2099-01-01' WHERE ts = ?", LAST - 10 * HOUR)
    run("--mode", "last_from_features", "--end", LAST - 9 * HOUR)
    assert list(stored(market)["ts"][:-1]) == list(hour_range(LAST - 12 * HOUR, LAST - 9 * HOUR))


def test_last_from_features_without_rows_takes_the_49_hours_to_the_end(market):
    run("--mode", "last_from_features", "--end", LAST)
    assert len(stored(market)) == 49


def test_a_list_computes_these_hours_and_no_other(market, tmp_path):
    (tmp_path / "hours.txt").write_text(f"{LAST}\n\n{LAST - 7 * HOUR}\n")
    run("--mode", "ts_list", "--ts", LAST - 3 * HOUR, "2024-01-01", LAST, "--ts-file", tmp_path / "hours.txt")
    assert list(stored(market)["ts"]) == [LAST - 7 * HOUR, LAST - 3 * HOUR, LAST]


def test_at_most_counts_neither_stored_hours_nor_those_that_cannot_be_computed(market):
    first = GAP - 3 * HOUR
    run(*window(first, first))
    run(*window(first, LAST), "--at-most", 4)
    later = hour_range(GAP + 48 * HOUR, GAP + 49 * HOUR)
    assert list(stored(market)["ts"]) == [*hour_range(first, GAP - HOUR), *later]


def test_dry_run_tells_the_plan_and_writes_nothing(market, capsys):
    assert run(*window(GAP - 2 * HOUR, GAP + HOUR), "--dry-run") == 0
    output = capsys.readouterr().out
    assert "compute 2 hours of 220 features, keep 0, skip 1" in output
    assert str(GAP - 2 * HOUR) in output
    assert not market.target_database.exists()


def test_verbose_lists_every_hour_of_a_dry_run(market, capsys):
    last = FIRST + 100 * HOUR
    assert run(*window(last - 24 * HOUR, last), "--dry-run") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 10 + 1
    assert run(*window(last - 24 * HOUR, last), "--dry-run", "--verbose") == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert "compute 25 hours of 220 features" in head
    assert lines == [f"  {hour}" for hour in hour_range(last - 24 * HOUR, last)]


def test_a_run_names_the_database_only_if_it_stored_something(market, capsys):
    assert run(*window(GAP + HOUR, GAP + 3 * HOUR)) == 0
    output = capsys.readouterr().out
    assert "computed 0 hours of 220 features, kept 0, skipped 3" in output
    assert "stored in" not in output
    assert run(*window(LAST, LAST)) == 0
    assert f"stored in {market.target_database}" in capsys.readouterr().out
    assert run(*window(LAST, LAST)) == 0
    assert "stored in" not in capsys.readouterr().out


def test_a_feature_list_is_stored_in_its_order(market, tmp_path):
    names = ["close_sma_20_4H", "log_close_1H", "close_hurst_100_1H"]
    (tmp_path / "list.json").write_text(json.dumps(names))
    run(*window(LAST, LAST), "--feature-list", tmp_path / "list.json", key="listed")
    row = json.loads(stored(market, "listed")["features"].item())
    assert list(row) == names
    assert row["close_hurst_100_1H"] is None


def test_without_feat_duckdb_the_features_go_into_the_ohlcv_file(market):
    run(*window(LAST, LAST), where=("--duckdb", "ohlcv.duckdb", "--table", TABLE))
    with duckdb.connect(market.source.database, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM features").fetchall() == [(1,)]


NOTHING = {
    "no such hours in the table": ("--start", "2024-01-01", "--end", "2024-01-02"),
    "not closed yet": ("--start", last_closed_hour() + HOUR, "--end", last_closed_hour() + 5 * HOUR),
    "no such hours": ("--mode", "ts_list", "--ts", "2025-01-05T00:30"),
}


@pytest.mark.parametrize("cause", NOTHING)
def test_nothing_to_do_names_its_cause(market, capsys, cause):
    assert run(*NOTHING[cause]) == 0
    assert f"nothing to do: {cause}" in capsys.readouterr().out
    assert not market.target_database.exists()


def test_last_from_features_says_when_all_is_stored(market, capsys):
    run(*window(LAST, LAST))
    run("--mode", "last_from_features", "--end", LAST)
    assert "nothing to do: all stored" in capsys.readouterr().out


@pytest.fixture
def configured(market, tmp_path):
    configure(market, tmp_path / "configs")
    return market


def test_without_flags_the_market_comes_from_the_configuration(configured, capsys):
    assert main(["run", "--feature-key", "short", *window(LAST, LAST)]) == 0
    assert list(stored(configured)["ts"]) == [LAST]


def test_flags_that_contradict_the_configuration_are_refused(configured, capsys):
    where = ("--duckdb", "ohlcv.duckdb", "--table", TABLE)
    assert main(["run", *where, "--feature-key", "short", "--base-hours", "72", "--end", str(LAST)]) == 2
    assert "--base-hours differs from what configs/ says" in capsys.readouterr().err
    assert main(["run", *where, "--feature-key", "other", "--base-hours", "72", *window(LAST, LAST)]) == 0
    assert len(stored(configured, "other")) == 1


def test_a_run_waits_for_the_writer_before_it_and_says_so(market, tmp_path):
    """Another run holds the market's slot until the command has said that it waits."""
    flags = [*WHERE, *LOOKBACK, "--feature-key", "short", *window(LAST, LAST)]
    command = [sys.executable, "-m", "feature_backfill.cli", "run", *flags]
    with dg.DagsterInstance.get() as instance:
        slots = instance.event_log_storage
        slots.set_concurrency_slots(TABLE, 1)
        other = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
        assert slots.claim_concurrency_slot(TABLE, other.run_id, "step").is_claimed
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        try:
            assert f"waiting for run {other.run_id}, which writes to market {TABLE}" in process.stderr.readline()
            assert stored(market).empty
            slots.free_concurrency_slots_for_run(other.run_id)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
            process.communicate()
    assert list(stored(market)["ts"]) == [LAST]


def test_json_says_what_became_of_the_hours(market, capsys):
    asked = window(GAP - 5 * HOUR, GAP + 50 * HOUR)
    assert run(*asked, "--json", "--dry-run") == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["planned"], planned["computed"], planned["seconds"]) == (8, 0, 0)
    assert run(*asked, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report.pop("seconds") > 0
    assert report == {
        "market": TABLE,
        "feature_key": "short",
        "target_database": str(market.target_database),
        "features": 220,
        "nothing": None,
        "planned": 8,
        "computed": 8,
        "kept": 0,
        "skipped": {"after a gap": 47},
        "absent": 1,
        "ranges": planned["ranges"],
    }
    assert report["ranges"][0][0] == (GAP - 5 * HOUR).isoformat()
    assert len(stored(market)) == 8
    assert run(*asked, "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["computed"], again["kept"], again["ranges"]) == (0, 8, [])


def test_json_says_why_there_is_nothing_to_do(market, capsys):
    after = LAST + 100 * HOUR
    assert run("--mode", "ts_list", "--ts", LAST + HOUR, after, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert "no such hours in the table" in report["nothing"]
    assert (report["absent"], report["planned"], report["ranges"]) == (2, 0, [])
