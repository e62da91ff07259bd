"""`feature-backfill run` of many markets, in processes of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import dagster as dg
import pandas as pd
import psutil
import pytest

from feature_backfill.cli import main
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill.store.database import connect
from feature_backfill.store.features import stored_hours
from feature_backfill_tests.markets import FIRST, HOURS, LAST, TABLE, configure, put_ohlcv, small_market, stored
from feature_backfill_tests.processes import alive

SETS = [
    {"key": "short", "base_hours": 48, "timeframes": ["1H", "4H"]},
    {"key": "shorter", "base_hours": 24, "timeframes": ["1H"]},
]
NAMES = ("one", "two", "three")

# A shell that starts jobs in the background has them ignore SIGINT; in the foreground it does not.
BEGIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from feature_backfill.__main__ import script
script()
"""


@pytest.fixture
def markets(tmp_path, monkeypatch, dagster_home):
    """Three markets of two feature sets in the working folder's configs/, each with files of its own; by name."""
    monkeypatch.chdir(tmp_path)
    return {name: _market(tmp_path, name) for name in NAMES}


def _market(folder, name, hours=HOURS):
    put_ohlcv(folder / f"{name}.duckdb", synthetic_ohlcv(FIRST, hours, seed=len(name)))
    market = small_market(
        folder,
        name=name,
        source={"database": f"{name}.duckdb", "table": TABLE},
        target_database=f"{name}_features.duckdb",
        feature_sets=SETS,
    )
    configure(market, folder / "configs")
    return market


def _rows(market, key):
    """ts and features of the stored rows."""
    return stored(market, key)[["ts", "features"]]


def test_all_markets_have_the_rows_that_single_runs_store(tmp_path, markets, capsys):
    assert main(["run", "--all", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [each["market"] for each in report["markets"]] == sorted(NAMES)
    single = small_market(
        tmp_path,
        name="single",
        source={"database": "two.duckdb", "table": TABLE},
        target_database="single.duckdb",
        feature_sets=SETS,
    )
    configure(single, tmp_path / "configs")
    for key, waiting in (("short", 47), ("shorter", 23)):
        assert main(["run", "--market", "single", "--feature-key", key, "--start", str(FIRST), "--end", str(LAST)]) == 0
        pd.testing.assert_frame_equal(_rows(markets["two"], key), _rows(single, key))
        assert len(_rows(markets["one"], key)) == HOURS - waiting
    by_key = {each["feature_key"]: each for each in report["markets"][0]["feature_sets"]}
    assert by_key["short"]["computed"] == HOURS - 47
    assert sum(by_key["short"]["skipped"].values()) == 47
    assert main(["run", "--all"]) == 0
    assert "computed 0 rows of 8 feature sets of 4 markets" in capsys.readouterr().out


def test_each_market_is_one_run_which_shows_its_hours(markets, dagster_home):
    assert main(["run", "--market", "one", "--market", "two", "--start", str(LAST)]) == 0
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs()
        assert [(run.job_name, run.status) for run in runs] == [("new_hours", dg.DagsterRunStatus.SUCCESS)] * 2
        for key in (["one", "features", "short"], ["two", "features", "shorter"], ["two", "bars_4h"]):
            assert f"{LAST:%Y-%m-%d-%H:%M}" in instance.get_materialized_partitions(dg.AssetKey(key))
    assert not markets["three"].target_database.exists()


def test_a_market_that_fails_keeps_no_other_waiting(tmp_path, markets, capsys):
    (tmp_path / "two.duckdb").write_bytes(b"no database")
    (tmp_path / "configs" / "four.yaml").write_text("name: four\n")
    assert main(["run", "--all"]) == 3
    told = capsys.readouterr()
    assert "computed 1,780 rows of 4 feature sets of 3 markets" in told.out
    assert "two: cannot open" in told.err
    assert "four.yaml" in told.err
    assert len(stored(markets["three"])) == HOURS - 47


def test_overwriting_and_the_hours_that_are_asked_for(markets, capsys):
    first = FIRST + pd.Timedelta(hours=100)
    window = ["--start", str(first), "--end", str(first + pd.Timedelta(hours=9))]
    assert main(["run", "--market", "one", *window]) == 0
    capsys.readouterr()
    assert main(["run", "--market", "one", *window, "--overwrite", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["markets"]
    assert [each["computed"] for each in report["feature_sets"]] == [10, 10]
    assert len(stored(markets["one"])) == 10
    assert main(["run", "--market", "one", "--at-most", "5", "--json"]) == 0
    assert len(stored(markets["one"])) == 15


def test_a_dry_run_writes_nothing(tmp_path, markets, dagster_home, capsys):
    before = sorted(tmp_path.iterdir())
    assert main(["run", "--all", "--dry-run"]) == 0
    assert "to compute 2,670 rows of 6 feature sets of 3 markets" in capsys.readouterr().out
    assert sorted(tmp_path.iterdir()) == before


def test_an_interrupt_ends_all_processes(tmp_path, markets):
    """As a terminal sends it: to every process of the group."""
    for name in NAMES:
        _market(tmp_path, name, hours=6_000)
    command = [sys.executable, "-c", BEGIN, "run", "--all"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not any(market.target_database.exists() for market in markets.values()):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "feature-backfill run: interrupted; what was stored stays" in errors.splitlines()
    psutil.wait_procs(children, timeout=30)
    assert alive(children) == []
    assert main(["run", "--all"]) == 0
    for market in markets.values():
        with connect(market.target_database, read_only=True) as connection:
            assert len(stored_hours(connection, "shorter")) == 6_000 - 23


def test_a_process_that_is_killed_ends_its_market_only(tmp_path, markets):
    """As for want of memory."""
    _market(tmp_path, "two", hours=6_000)
    command = [sys.executable, "-m", "feature_backfill", "run", "--all"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while (worker := _writer_of(process.pid, markets["two"])) is None:
            assert process.poll() is None
            time.sleep(0.02)
        worker.kill()
        out, errors = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "of 3 markets" in out
    assert "two: its process was killed" in errors
    assert "Traceback" not in errors, errors
    assert main(["run", "--all"]) == 0
    assert [len(stored(markets[name])) for name in NAMES] == [HOURS - 47, 6_000 - 47, HOURS - 47]


def _writer_of(parent, market):
    """The process, of those that a process has started, that has the target of a market open."""
    for child in psutil.Process(parent).children():
        with suppress(psutil.Error):
            if any(opened.path == str(market.target) for opened in child.open_files()):
                return child
    return None


def test_hours_before_the_first_and_after_the_last_are_no_error_of_many_markets(tmp_path, markets, capsys):
    later = small_market(
        tmp_path,
        name="later",
        first_hour=FIRST + pd.Timedelta(days=10),
        source={"database": "one.duckdb", "table": TABLE},
        target_database="later.duckdb",
        feature_sets=SETS,
    )
    configure(later, tmp_path / "configs")
    assert main(["run", "--market", "later", "--market", "one", "--end", str(FIRST + pd.Timedelta(days=5))]) == 0
    told = capsys.readouterr().out
    assert f"the market begins at {later.first_hour}" in told
    assert len(stored(markets["one"])) == 121 - 47


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to compute: --feature-key KEY, --market MARKET ... or --all"),
        (["--all", "--market", "one"], "leave out --market, or --all"),
        (["--all", "--feature-key", "short"], "--feature-key goes with one feature set"),
        (["--market", "one", "--base-hours", "24"], "--base-hours goes with one feature set"),
        (["--all", "--mode", "ts_list", "--ts", "2025-01-02"], "--ts, --mode ts_list goes with one feature set"),
        (["--market", "one", "--market", "four"], "no market four in configs/, which has one, three, two"),
        (["--all", "--start", "yesterday"], "--start"),
        (["--all", "--start", "2025-01-03", "--end", "2025-01-02"], "swap them or leave one out"),
    ],
)
def test_refusals(markets, capsys, arguments, message):
    assert main(["run", *arguments]) == 2
    assert message in capsys.readouterr().err
