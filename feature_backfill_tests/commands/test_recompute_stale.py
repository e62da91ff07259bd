"""OHLCV rows corrected after the fact: what rests on them is found and computed anew."""

import dagster as dg
import pandas as pd
import pytest

from feature_backfill.assets.features import STALE_TAG
from feature_backfill.assets.names import features_key
from feature_backfill.cli import main
from feature_backfill.hours import HOUR, hour_range
from feature_backfill_tests.markets import (
    LAST,
    LOOKBACK,
    TABLE,
    WHERE,
    execute,
    execute_on_target,
    small_market,
    stored,
    window,
)
from feature_backfill_tests.runs import run_range

START, CORRECTED = LAST - 99 * HOUR, LAST - 70 * HOUR
STALE = hour_range(CORRECTED, CORRECTED + 47 * HOUR)
FLAGS = [*WHERE, "--feature-key", "short"]


@pytest.fixture
def market(tmp_path, monkeypatch, dagster_home):
    monkeypatch.chdir(tmp_path)
    market = small_market(tmp_path)
    assert main(["run", *FLAGS, *LOOKBACK, *window(START, LAST)]) == 0
    return market


def recompute_stale(*arguments):
    return main(["recompute-stale", *FLAGS, *LOOKBACK, *arguments])


def correct(market, statement="volume = volume + 1"):
    execute(market, f"UPDATE {TABLE} SET {statement} WHERE timestamp = ?", CORRECTED)


def changed_hours(before, after):
    assert list(before["ts"]) == list(after["ts"])
    return list(after["ts"][after["created_at"] != before["created_at"]])


def test_a_correction_makes_the_hours_that_see_it_stale_until_they_are_computed_anew(market, tmp_path, capsys):
    before = stored(market)
    assert recompute_stale() == 0
    assert "short: 0 of 100 stored hours are stale" in capsys.readouterr().out
    correct(market)
    assert recompute_stale("--dry-run") == 0
    output = capsys.readouterr().out
    assert "short: 48 of 100 stored hours are stale" in output
    assert f"to compute {STALE[0]} .. {STALE[-1]}" in output
    pd.testing.assert_frame_equal(stored(market), before)
    assert recompute_stale() == 0
    assert "computed 48 hours of 220 features anew" in capsys.readouterr().out
    assert changed_hours(before, stored(market)) == list(STALE)
    assert recompute_stale() == 0
    assert "short: 0 of 100 stored hours are stale" in capsys.readouterr().out

    afresh = small_market(tmp_path, target_database="afresh.duckdb")
    elsewhere = [*FLAGS, "--feat-duckdb", "afresh.duckdb"]
    assert main(["run", *elsewhere, *LOOKBACK, *window(START, LAST)]) == 0
    pd.testing.assert_series_equal(stored(market)["features"], stored(afresh)["features"])


def test_rows_that_cannot_be_computed_anew_stay_and_are_named(market, capsys):
    before = stored(market)
    correct(market, "close = -1")
    assert recompute_stale() == 0
    output = capsys.readouterr().out
    assert "short: 48 of 100 stored hours are stale" in output
    assert f"skipped 48 hours, bad row: {STALE[0]} .. {STALE[-1]}" in output
    assert "their rows stay as they are" in output
    pd.testing.assert_frame_equal(stored(market), before)


def test_rows_whose_own_hour_is_gone_are_named_too(market, capsys):
    before = stored(market)
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp >= ?", LAST - HOUR)
    assert recompute_stale() == 0
    output = capsys.readouterr().out
    assert "short: 2 of 100 stored hours are stale" in output
    assert f"skipped 2 hours, no row in OHLCV: {LAST - HOUR} .. {LAST}" in output
    pd.testing.assert_frame_equal(stored(market), before)


def test_of_rows_that_others_stored_nothing_is_known(market, capsys):
    execute_on_target(market, "UPDATE features SET created_at = created_at - INTERVAL 1 DAY WHERE ts < ?", START + HOUR)
    execute_on_target(market, "DELETE FROM feature_inputs WHERE ts = ?", LAST)
    assert recompute_stale() == 0
    assert "2 hours carry no digest" in capsys.readouterr().out


@pytest.mark.parametrize(
    "other",
    [
        ["--base-hours", "24", "--buffer-hours", "24", "--timeframes", "1H", "4H"],  # as many hours
        ["--base-hours", "24", "--timeframes", "1H", "4H"],
    ],
)
def test_other_settings_than_the_rows_have_are_refused(market, capsys, other):
    """The contract says so or, in a database without contracts, the rows themselves."""
    before = stored(market)
    assert main(["recompute-stale", *FLAGS, *other]) == 2
    assert "holds other rows: base hours: 48 there, 24 here" in capsys.readouterr().err
    execute_on_target(market, "DROP TABLE feature_keys")
    assert main(["recompute-stale", *FLAGS, *other]) == 2
    assert "they have another market or lookback" in capsys.readouterr().err
    pd.testing.assert_frame_equal(stored(market), before)


def test_inputs_of_another_make_are_refused(market, capsys):
    execute_on_target(market, "CREATE OR REPLACE TABLE feature_inputs (a INT)")
    assert recompute_stale() == 2
    assert "table feature_inputs of" in capsys.readouterr().err


def test_nothing_stored_is_an_error(market, capsys):
    assert main(["recompute-stale", *WHERE, "--feature-key", "other"]) == 2
    assert "nothing is stored under other" in capsys.readouterr().err


def test_a_run_with_the_tag_computes_what_is_stale_of_its_range_and_what_is_missing(market, instance):
    before = stored(market)
    correct(market)
    first, last = START - 2 * HOUR, STALE[9]
    assert run_range(instance, market, first, last, tags={STALE_TAG: "true"}).success
    after = stored(market)
    assert list(after["ts"]) == list(hour_range(first, LAST))
    assert changed_hours(before, after[2:].reset_index(drop=True)) == list(STALE[:10])
    [newest] = instance.fetch_materializations(features_key(market, market.feature_sets[0]), limit=1).records
    assert newest.asset_materialization.metadata["rows_written"] == dg.IntMetadataValue(12)
