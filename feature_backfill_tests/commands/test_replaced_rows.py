"""Rows that were replaced, from the command line: export --as-of, retire-key, prune, and what the check says."""

import duckdb
import pandas as pd
import pytest

from feature_backfill import read_features
from feature_backfill.checks.corrections import corrections
from feature_backfill.cli import main
from feature_backfill.hours import HOUR
from feature_backfill_tests.markets import LAST, LOOKBACK, TABLE, WHERE, execute, small_market, stored, window

KEY = ("--feature-key", "short")
TARGET = ("--feat-duckdb", "features.duckdb")


@pytest.fixture
def market(tmp_path, monkeypatch, dagster_home):
    """Three stored hours, whose OHLCV was then corrected and whose rows were computed anew."""
    monkeypatch.chdir(tmp_path)
    market = small_market(tmp_path, name=TABLE)
    assert run() == 0
    execute(market, f"UPDATE {TABLE} SET volume = volume + 1 WHERE timestamp = ?", LAST - HOUR)
    return market


def run(*flags, lookback=LOOKBACK):
    return main(["run", *KEY, *WHERE, *lookback, *window(LAST - 2 * HOUR, LAST), *flags])


def test_recompute_stale_and_overwrite_keep_what_a_live_model_saw(market, capsys, tmp_path):
    seen = stored(market)
    moment = pd.Timestamp(seen["created_at"].max())
    assert main(["recompute-stale", *KEY, *WHERE, *LOOKBACK]) == 0
    assert run("--overwrite") == 0
    assert list(stored(market)["created_at"] > moment) == [False, True, True]
    frame = read_features(market.target_database, "short", as_of=moment)
    assert main(["export", "seen.parquet", *KEY, *TARGET, "--as-of", str(moment)]) == 0
    pd.testing.assert_frame_equal(pd.read_parquet("seen.parquet").set_index("ts"), frame, check_freq=False)
    now = read_features(market.target_database, "short")
    assert not now.loc[LAST].equals(frame.loc[LAST])
    with duckdb.connect(market.target_database, read_only=True) as connection:
        kept = connection.execute("SELECT ts, CAST(features AS VARCHAR), replaced_by FROM features_replaced").fetchall()
    assert [(ts, text) for ts, text, _ in sorted(kept)] == list(zip(seen["ts"][1:], seen["features"][1:], strict=True))
    assert all(by.startswith("run ") for *_, by in kept)
    assert "2 rows were ever replaced" in corrections(market, market.feature_sets[0]).description


def test_a_key_that_is_retired_takes_other_features(market, capsys):
    seen = read_features(market.target_database, "short")
    moment = stored(market)["created_at"].max()
    other = ("--base-hours", "72", "--timeframes", "1H")
    assert run(lookback=other) == 2
    assert "feature-backfill retire-key" in capsys.readouterr().err
    assert main(["retire-key", *KEY, *TARGET]) == 0
    assert "3 rows moved" in capsys.readouterr().out
    assert run(lookback=other) == 0
    assert read_features(market.target_database, "short").shape == (3, 110)
    pd.testing.assert_frame_equal(read_features(market.target_database, "short", as_of=moment), seen)
    assert main(["retire-key", "--feature-key", "nobody's", *TARGET]) == 2
    assert "no row of nobody's" in capsys.readouterr().err


def test_replaced_rows_are_pruned_up_to_a_time(market, capsys):
    assert run("--overwrite") == 0
    assert main(["prune", *TARGET, "--before", "2025-01-01"]) == 0
    assert main(["prune", *TARGET, "--before", "2100-01-01", *KEY]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if "dropped" in line] == ["0", "2"]
    assert main(["prune", "--feat-duckdb", "nowhere.duckdb", "--before", "2100-01-01"]) == 2
    assert main(["prune", *TARGET, "--before", "soon"]) == 2


def test_as_of_is_for_one_file(market, capsys):
    assert main(["export", "folder", "--monthly", *KEY, *TARGET, "--as-of", "2025-01-01"]) == 2
    assert "--as-of goes with one file" in capsys.readouterr().err
