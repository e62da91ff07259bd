"""Bad input as a user gives it: a one-line message, exit code 2 or skipped hours, and no other change."""

import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest

from feature_backfill.assets.names import features_key
from feature_backfill.automation.runs import NEW_HOURS
from feature_backfill.cli import main
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import hour_range, partition_key
from feature_backfill.store.database import connect
from feature_backfill_tests.automation.ticks import Sensor
from feature_backfill_tests.bad_inputs import (
    BAD_ROWS,
    CASES,
    DOC,
    DONE,
    HOUR,
    REFUSED,
    SOURCE,
    TARGET,
    Case,
    as_features,
    execute,
    run,
    table,
)
from feature_backfill_tests.homes import new_home
from feature_backfill_tests.markets import FIRST, GAP, LAST, TABLE, small_market, stored, window
from feature_backfill_tests.runs import failures, reasons, run_range

WAITING = "is in use; waiting up to"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder with a market, some stored rows, and a home of Dagster."""
    folder = tmp_path_factory.mktemp("template")
    new_home(folder / "home")
    small_market(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("DAGSTER_HOME", str(folder / "home"))
        assert main(run(hours=window(LAST - 9 * HOUR, LAST - 5 * HOUR))) == DONE
        assert main(["forget-ohlcv", "--feat-duckdb", TARGET]) == DONE  # each copy has its OHLCV elsewhere
    return folder


@pytest.fixture
def folder(template, tmp_path, monkeypatch):
    """A copy of the template to work in. Commands wait only briefly for a locked database."""
    folder = shutil.copytree(template, tmp_path / "market")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "home"))
    monkeypatch.delenv("FEATURE_BACKFILL_CONFIGS", raising=False)
    monkeypatch.setitem(connect.__wrapped__.__kwdefaults__, "patience", 0.1)
    return folder


def called(arguments):
    try:
        return main(arguments)
    except SystemExit as exit:
        return exit.code


def contents(folder):
    """The bytes of every file, except Dagster's records."""
    files = [path for path in folder.rglob("*") if path.is_file() and folder / "home" not in path.parents]
    return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{kind}: {case.what}") for kind, cases in CASES.items() for case in cases]
)
def test_bad_input_gives_one_line_and_changes_nothing(folder, case: Case, capsys):
    arguments = case.given()
    before = contents(folder)
    with case.meanwhile():
        code = called(arguments)
    output = capsys.readouterr()
    assert case.message in (output.out if case.code == DONE else output.err)
    assert code == case.code
    errors = [line for line in output.err.splitlines() if WAITING not in line]
    assert len(errors) == (case.code != DONE)
    after = contents(folder)
    assert {path: after.get(path) for path in before} == before
    assert set(after) - set(before) <= {Path("new.duckdb")}


def test_the_documentation_has_every_case():
    assert table() in DOC.read_text(), "run python -m feature_backfill_tests.bad_inputs, which writes the tables"


@pytest.fixture(scope="module")
def after_bad_rows(template, tmp_path_factory):
    """What was stored of a market with a bad row every 30 hours, and the reason of each skipped hour in Dagster."""
    folder = shutil.copytree(template, tmp_path_factory.mktemp("bad_rows"), dirs_exist_ok=True)
    market = small_market(folder)
    with duckdb.connect(folder / SOURCE) as connection:
        connection.execute(
            f"INSERT INTO {TABLE} SELECT * REPLACE ($1 AS timestamp) FROM {TABLE} WHERE timestamp = $2",
            [GAP, GAP - HOUR],
        )
        for row, hour in zip(BAD_ROWS, bad_hours(), strict=True):
            connection.execute(row.statement, {"hour": hour})
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("DAGSTER_HOME", str(folder / "home"))
        lookback = ("--base-hours", "24", "--timeframes", "1H", "4H")
        hours = window(FIRST + 23 * HOUR, LAST)
        assert main(run("--feature-key", "day", hours=hours, lookback=lookback)) == DONE
        with dg.DagsterInstance.get() as instance:
            key = dg.AssetKey([TABLE, "features", "day"])
            return stored(market, "day")["ts"], reasons(instance, key)


def bad_hours():
    return [FIRST + (30 + 30 * place) * HOUR for place in range(len(BAD_ROWS))]


@pytest.mark.parametrize("place", range(len(BAD_ROWS)), ids=[row.what for row in BAD_ROWS])
def test_hours_that_look_back_on_a_bad_row_are_skipped_with_its_reason_and_no_others(after_bad_rows, place):
    hours_stored, found = after_bad_rows
    bad, hour = BAD_ROWS[place], bad_hours()[place]
    blind = hour_range(hour, hour + 23 * HOUR)
    around = hour_range(hour - 3 * HOUR, hour + 26 * HOUR)
    if bad.reason is None:
        assert around.isin(hours_stored).all()
        return
    # What lies half an hour before an hour is in the window only together with the hour before.
    blind = blind[:-1] if bad.what == "a timestamp off the hour" else blind
    assert list(around[around.isin(hours_stored)]) == list(around.difference(blind))
    # The reason of an hour without a row of its own is that it is absent.
    assert all(bad.reason in found[partition_key(skipped)] for skipped in blind[1:])


def test_names_are_never_sql(folder):
    """Everything but the rows of a key is untouched by a key, and by a table, whose name would be a statement."""
    market = small_market(folder)
    before = stored(market)
    table, key = 'x"; DROP TABLE features; --', 'a\'; DELETE FROM features; -- "é" 比特币'
    execute(SOURCE, f'CREATE TABLE "{table.replace(chr(34), 2 * chr(34))}" AS FROM {TABLE}')
    assert main(run("--feature-key", key)) == DONE
    assert main(run("--feature-key", key, "--table", table, "--feat-duckdb", "another.duckdb")) == DONE
    for database in (market.target_database, folder / "another.duckdb"):
        rows = stored(market.model_copy(update={"target": database}), key)
        assert list(rows["ts"]) == list(hour_range(LAST - 2 * HOUR, LAST))
    pd.testing.assert_frame_equal(stored(market), before)


def test_the_script_that_is_called(folder):
    process = subprocess.run(
        [sys.executable, "-m", "feature_backfill.cli", *run("--start", "soon")], capture_output=True, text=True
    )
    assert process.returncode == REFUSED
    assert process.stderr == (
        "feature-backfill run: --start: not a timestamp: 'soon'; write for example 2025-11-13T08:00Z\n"
    )


IN_DAGSTER = {
    "it lacks volume": lambda: execute(SOURCE, f"ALTER TABLE {TABLE} DROP volume"),
    "column feature_key is missing": lambda: execute(TARGET, *as_features("ts, features, created_at")),
}


@pytest.mark.parametrize("message", IN_DAGSTER)
def test_a_run_and_a_sensor_in_dagster_say_the_same_line(folder, message):
    market = small_market(folder, name=TABLE)
    IN_DAGSTER[message]()
    before = contents(folder)
    with dg.DagsterInstance.get() as instance:
        sensor = Sensor(instance, build_definitions([market]), NEW_HOURS)
        assert sensor.tick() == []
        result = run_range(instance, market, LAST, LAST, only=[features_key(market, market.feature_sets[0])])
    (failure,) = failures(result.all_events)
    for line in (sensor.message, failure):
        assert message in line
        assert "\n" not in line
    assert contents(folder) == before
