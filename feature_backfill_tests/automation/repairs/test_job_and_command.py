"""A repair as its user asks for it: the market's repair job, and `feature-backfill repair`."""

import pytest

from feature_backfill.cli import main
from feature_backfill.definitions import build_definitions
from feature_backfill_tests.automation.repairs.views import OHLCV, materialized, ohlcv_stamps
from feature_backfill_tests.markets import TABLE, execute
from feature_backfill_tests.postgres import ON_EITHER
from feature_backfill_tests.targets import FILE_ONLY

pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")


def test_the_job_repairs_and_logs_what_it_did(instance, market):
    job = build_definitions([market]).resolve_job_def("repair")
    dry_run = job.execute_in_process(
        instance=instance, run_config={"ops": {"repair_op": {"config": {"dry_run": True}}}}
    )
    assert materialized(instance, OHLCV) == set()
    result = job.execute_in_process(instance=instance)
    assert materialized(instance, OHLCV) == ohlcv_stamps(market)
    dry_logs, logs = [{log.user_message for log in instance.all_logs(each.run_id)} for each in (dry_run, result)]
    assert "small/ohlcv: 45 hours to report, 0 no longer stored, 0 in order" in dry_logs
    assert "small/ohlcv: 45 hours reported, 0 no longer stored, 0 in order" in logs


@ON_EITHER
@FILE_ONLY
def test_the_command_repairs_all_markets_or_the_one_of_the_flags(dagster_home, market, tmp_path, capsys):
    flags = ["--duckdb", str(tmp_path / "ohlcv.duckdb"), "--table", TABLE, "--feature-key", "short"]
    assert main(["repair", "--dry-run", *flags, "--feat-duckdb", str(market.target)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "small/ohlcv: 45 hours to report, 0 no longer stored, 0 in order",
        "small/bars_4h: 0 hours to report, 0 whose row or bar is gone or differs from OHLCV, 0 in order",
        "small/features/short: 0 hours to report, 0 no longer stored, 0 in order",
    ]
    assert main(["repair"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "small/ohlcv: 45 hours reported, 0 no longer stored, 0 in order"
    assert main(["repair", "--market", "small"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "small/ohlcv: 0 hours reported, 0 no longer stored, 45 in order"


def test_an_operators_mistake_is_named_in_one_line(dagster_home, market, tmp_path, capsys):
    def error_line(*arguments):
        assert main(["repair", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "no market large in" in error_line("--market", "large")
    assert "--feature-key" in error_line("--duckdb", "ohlcv.duckdb")
    execute(market, f"ALTER TABLE {TABLE} RENAME TO elsewhere")
    assert f"no table {TABLE}" in error_line()
    market.source.database.unlink()
    assert "no DuckDB file" in error_line()
    (tmp_path / "configs" / "small.yaml").unlink()
    assert "no market YAML in" in error_line()
