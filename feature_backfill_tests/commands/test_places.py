"""Where a command records its runs and where it works: what cannot be used is one line, and nothing is stored."""

import os
import subprocess
import sys

import pytest

from feature_backfill.assets.names import features_key
from feature_backfill.cli import main
from feature_backfill_tests.markets import LAST, TABLE, stored

FLAGS = ("--duckdb", "ohlcv.duckdb", "--feat-duckdb", "features.duckdb", "--table", TABLE, "--feature-key", "short")
RUN = ("run", *FLAGS, "--base-hours", "48", "--timeframes", "1H", "4H", "--start", str(LAST), "--end", str(LAST))


def damage(path):
    path.write_bytes(b"no database " * 1000)


@pytest.mark.parametrize(
    ("home", "message"),
    [
        ("dagster_home", "DAGSTER_HOME is the relative path dagster_home; set it to the absolute one"),
        ("{folder}/nowhere", "does not exist; create the folder"),
        ("{folder}/ohlcv.duckdb", "is not a folder"),
    ],
)
def test_a_dagster_home_that_cannot_be_one_is_refused(market, tmp_path, monkeypatch, capsys, home, message):
    monkeypatch.setenv("DAGSTER_HOME", home.format(folder=tmp_path))
    assert main(RUN) == 2
    assert message in capsys.readouterr().err
    assert stored(market).empty


def test_a_dagster_home_that_takes_no_files_is_refused(market, monkeypatch, capsys):
    monkeypatch.setenv("DAGSTER_HOME", "/proc")
    assert main(RUN) == 2
    assert "Dagster cannot keep its records in /proc" in capsys.readouterr().err.splitlines()[-1]
    assert stored(market).empty


@pytest.mark.parametrize("flag", ["--duckdb", "--feat-duckdb", "--table", "--feature-key", "--feature-list"])
def test_an_argument_that_is_no_text_is_one_line(market, capsys, flag):
    assert main([*RUN, flag, os.fsdecode(b"name\xff")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not UTF-8 text; correct or rename it" in line


def test_a_blank_dagster_home_counts_as_none(market, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "  ")
    assert main(RUN) == 0
    assert (tmp_path / ".dagster_home" / "dagster.yaml").exists()


@pytest.mark.parametrize(("content", "reason"), [("x: [", "while parsing"), ("storge: {}", 'entry "storge"')])
def test_a_dagster_yaml_that_cannot_be_used_is_refused(market, dagster_home, capsys, content, reason):
    (dagster_home / "dagster.yaml").write_text(content)
    assert main(RUN) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"Dagster cannot use {dagster_home / 'dagster.yaml'}" in line
    assert reason in line
    assert len(line) < 400


@pytest.mark.parametrize("records", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"])
def test_damaged_records_are_named_and_repair_rebuilds_what_is_shown(market, dagster_home, capsys, records):
    assert main(RUN) == 0
    for file in dagster_home.glob(f"{records}-*"):
        file.unlink()
    damage(dagster_home / records)
    for command in ((*RUN, "--overwrite"), ("repair", *FLAGS, "--base-hours", "48", "--timeframes", "1H", "4H")):
        assert main(command) == 3
        assert f"Dagster's records in {dagster_home / records} are damaged" in capsys.readouterr().err
    (dagster_home / records).unlink()
    assert main(("repair", *FLAGS, "--base-hours", "48", "--timeframes", "1H", "4H")) == 0
    asset = features_key(market.model_copy(update={"name": TABLE}), market.feature_sets[0]).to_user_string()
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(asset))
    assert "1 hours reported" in line or "1 in order" in line


def command(*arguments, folder, environment=None):
    """A command in a process of its own, as a shell starts it."""
    return subprocess.run(
        [sys.executable, "-m", "feature_backfill.cli", *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_key_that_the_output_cannot_spell_is_escaped(market, tmp_path):
    flags = [*RUN[:-4], "--start", str(LAST), "--end", str(LAST), "--feature-key", "schlüssel"]
    done = command(*flags, folder=tmp_path, environment={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "schl\\xfcssel" in done.stdout
    assert len(stored(market, "schlüssel")) == 1


def test_a_working_folder_that_was_deleted_is_one_line(tmp_path):
    script = "import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); "
    script += "from feature_backfill.cli import main; sys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "feature-backfill demo: the working folder was deleted; change to another one with cd\n"


def test_the_demo_in_a_file_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["demo", "--folder", str(tmp_path / "file")]) == 2
    assert "cannot hold the demo: Not a directory" in capsys.readouterr().err


def test_flags_without_a_command_mean_run(market, capsys):
    assert main(RUN[1:]) == 0
    assert "computed 1 hours" in capsys.readouterr().out
    assert len(stored(market)) == 1
