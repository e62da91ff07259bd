"""A DuckDB file that opens and has a damaged block: one line that names the file, exit code 3, and nothing written."""

from pathlib import Path

import dagster as dg
import pytest

from feature_backfill.automation.runs import NEW_HOURS
from feature_backfill.cli import main
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR
from feature_backfill_tests.automation.ticks import Sensor
from feature_backfill_tests.markets import LAST, LOOKBACK, WHERE, small_market, window

FLAGS = (*WHERE, *LOOKBACK, "--feature-key", "short")
HEADERS, BLOCK = 3 * 4096, 262_144
FAILED = 3


@pytest.fixture
def market(tmp_path, monkeypatch, dagster_home):
    monkeypatch.chdir(tmp_path)
    market = small_market(tmp_path)
    assert main(["run", *FLAGS, *window(LAST - 99 * HOUR, LAST - HOUR)]) == 0
    return market


def damaged(path: Path) -> bytes:
    """Change a few bytes at the head of every block but the first, which opening reads."""
    content = bytearray(path.read_bytes())
    blocks = (len(content) - HEADERS) // BLOCK
    for block in range(1, blocks):
        start = HEADERS + block * BLOCK
        content[start : start + 8] = bytes(byte ^ 0xFF for byte in content[start : start + 8])
    path.write_bytes(content)
    return bytes(content)


def require_one_line(capsys, path: Path) -> None:
    (line,) = capsys.readouterr().err.splitlines()
    assert f"failed: {path} is damaged; nothing more was written to it. Restore a copy" in line
    assert "Corrupt database file" in line


@pytest.mark.parametrize("command", ["run", "recompute-stale", "repair"])
def test_damaged_ohlcv_fails_every_command_that_reads_it(market, capsys, command):
    damaged(market.source.database)
    before = market.target_database.read_bytes()
    hours = window(LAST - 9 * HOUR, LAST) if command == "run" else ()
    capsys.readouterr()
    assert main([command, *FLAGS, *hours]) == FAILED
    require_one_line(capsys, market.source.database)
    assert market.target_database.read_bytes() == before


def test_damaged_features_fail_an_export_and_leave_no_file(market, capsys, tmp_path):
    content = damaged(market.target_database)
    capsys.readouterr()
    arguments = ["export", "out.parquet", "--feat-duckdb", "features.duckdb", "--feature-key", "short"]
    assert main(arguments) == FAILED
    require_one_line(capsys, market.target_database)
    assert not (tmp_path / "out.parquet").exists()
    assert market.target_database.read_bytes() == content


def test_a_sensor_and_a_run_in_dagster_say_the_line(market, instance: dg.DagsterInstance):
    damaged(market.source.database)
    definitions = build_definitions([market])
    sensor = Sensor(instance, definitions, NEW_HOURS)
    assert sensor.tick() == []
    assert f"trying again at the next tick: {market.source.database} is damaged" in sensor.message
    result = definitions.resolve_job_def("small__checks").execute_in_process(instance=instance, raise_on_error=False)
    failures = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
    assert failures
    assert all(f"{market.source.database} is damaged" in failure.description for failure in failures)
