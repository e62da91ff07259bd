"""What the command line says if Dagster's records are in PostgreSQL and cannot be reached there."""

import sys
import time

import pytest
import yaml

from feature_backfill_tests.commands.calls import run
from feature_backfill_tests.homes import new_home
from feature_backfill_tests.markets import LAST, window
from feature_backfill_tests.postgres import batched, new_home_on_postgres

NOBODY = "postgresql+psycopg2://postgres@127.0.0.1:1/dagster"


def error_line(capsys):
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("everything", [False, True])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    market, tmp_path, monkeypatch, capsys, everything
):
    home = new_home_on_postgres(tmp_path / "home", NOBODY) if everything else new_home(tmp_path / "home")
    settings = home / "dagster.yaml"
    settings.write_text(yaml.safe_dump(yaml.safe_load(settings.read_text()) | batched(NOBODY)))
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setitem(sys.modules, "dagster_postgres", None)  # as if it were not installed
    for module in ("event_log_postgres", "dagster_internals.postgres_event_log_storage"):
        monkeypatch.delitem(sys.modules, f"feature_backfill.{module}", raising=False)
    assert run(*window(LAST, LAST)) == 2
    assert "pip install 'feature-backfill[postgres]'" in error_line(capsys)


@pytest.mark.postgres
def test_a_server_that_does_not_answer_is_named(market, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DAGSTER_HOME", str(new_home_on_postgres(tmp_path / "home", NOBODY)))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # Dagster tries six times, for ten seconds
    assert run(*window(LAST, LAST)) == 3
    line = error_line(capsys)
    assert 'connection to server at "127.0.0.1", port 1 failed' in line
    assert "feature-backfill repair" in line
