"""`feature-backfill compact-records`, and the job that does the same."""

import shutil

import dagster as dg
import pytest

from feature_backfill.automation.compaction import compaction_job
from feature_backfill.cli import main
from feature_backfill.commands.shared.instance import shipped_config

HOURS = [f"2024-01-01-{hour:02}:00" for hour in range(24)]


@pytest.fixture
def old_home(tmp_path, monkeypatch):
    """A DAGSTER_HOME with the shipped dagster.yaml, whose records Dagster's own event log wrote."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        for hour in HOURS:
            instance.report_runless_asset_event(dg.AssetMaterialization("ohlcv", partition=hour))
    shutil.copy(shipped_config("dagster.yaml"), tmp_path)
    return tmp_path


def materialized():
    with dg.DagsterInstance.get() as instance:
        return instance.get_materialized_partitions(dg.AssetKey("ohlcv"))


def test_the_command_says_what_it_would_save_and_what_it_saved(old_home, capsys):
    assert main(["compact-records", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "afterwards; 0 runs and 24 hours of the index to compact, 0 runs going on left alone" in told
    assert main(["compact-records"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{old_home / 'history' / 'runs'}: ")
    assert "now; 0 runs and 24 hours of the index compacted, 0 runs going on left alone" in said
    assert materialized() == set(HOURS)


def test_the_command_refuses_another_event_log(old_home, capsys):
    (old_home / "dagster.yaml").unlink()
    assert main(["compact-records"]) == 2
    assert "take event_log_storage from configs/dagster.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_job_logs_what_it_did(old_home, dry_run):
    config = {"ops": {"compact_records_op": {"config": {"dry_run": dry_run}}}}
    with dg.DagsterInstance.get() as instance:
        result = compaction_job().execute_in_process(instance=instance, run_config=config)
        lines = [entry.user_message for entry in instance.all_logs(result.run_id)]
    done = "to compact" if dry_run else "compacted"
    assert any(f"24 hours of the index {done}, 0 runs going on left alone" in line for line in lines)
    assert not any("free space" in line for line in lines)  # its own run does not keep it from the index
