"""`feature-backfill check` on databases that no YAML describes, without a Dagster instance."""

import json

import duckdb
import pandas as pd
import pytest

from feature_backfill.checks.market import FEATURES_CHECKS, OHLCV_CHECKS
from feature_backfill.cli import main
from feature_backfill.errors import BAD_ARGUMENTS, DONE, FAILED
from feature_backfill.hours import last_closed_hour
from feature_backfill.sources.synthetic import synthetic_ohlcv

HOURS = 120
LAST = last_closed_hour()
FIRST = LAST - pd.Timedelta(hours=HOURS - 1)
FLAGS = ["--duckdb", "o.duckdb", "--feat-duckdb", "f.duckdb", "--table", "t", "--feature-key", "k"]
FLAGS += ["--base-hours", "24", "--timeframes", "1H"]
NAMES = [*(look.__name__ for look in (*OHLCV_CHECKS, *FEATURES_CHECKS)), "parity"]


@pytest.fixture
def folder(tmp_path, monkeypatch, dagster_home, capsys):
    """A folder with a market that is current, all hours stored, and whose DAGSTER_HOME is gone."""
    monkeypatch.chdir(tmp_path)
    with duckdb.connect("o.duckdb") as connection:
        connection.register("synthetic", synthetic_ohlcv(FIRST, HOURS, seed=3))
        connection.execute("CREATE TABLE t AS FROM synthetic")
    assert main(["run", *FLAGS, "--start", str(FIRST)]) == DONE
    capsys.readouterr()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "nowhere"))
    return tmp_path


def change(database, statement):
    with duckdb.connect(database) as connection:
        connection.execute(statement)


def test_a_good_market_passes_every_check_in_a_line_each(folder, capsys):
    assert main(["check", *FLAGS]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["passed", f"{name}:"] for name in NAMES]
    assert not (folder / "nowhere").exists()


def test_a_warning_alone_is_no_failure(folder, capsys):
    change("f.duckdb", f"DELETE FROM features WHERE ts = TIMESTAMP '{LAST - pd.Timedelta(hours=10)}'")
    assert main(["check", *FLAGS]) == DONE
    (line,) = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("passed")]
    assert line.startswith("WARN    completeness: ")


def test_an_error_is_exit_code_3_and_json_holds_the_findings(folder, capsys):
    change("f.duckdb", "UPDATE features SET features = json_merge_patch(features, '{\"log_close_1H\": 1.5}')")
    assert main(["check", *FLAGS, "--json"]) == FAILED
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert list(findings) == NAMES
    assert [name for name, finding in findings.items() if not finding["passed"]] == ["parity"]
    parity = findings["parity"]
    assert parity["severity"] == "ERROR"
    assert "depart from what OHLCV gives now" in parity["description"]
    assert parity["metadata"]["worst_features"][0]["feature"] == "log_close_1H"
    assert findings["continuity"]["metadata"]["hours"] == HOURS


def test_a_key_without_rows_is_one_line(folder, capsys):
    assert main(["check", *FLAGS, "--feature-key", "nobody"]) == BAD_ARGUMENTS
    assert "no row under the key nobody" in capsys.readouterr().err
