"""The job that writes the reports, through real runs."""

import dagster as dg
import pytest

from feature_backfill.assets.names import report_key
from feature_backfill.definitions import build_definitions
from feature_backfill.reports.assets import report_file
from feature_backfill_tests.markets import small_market
from feature_backfill_tests.runs import failures


@pytest.fixture
def run(module_instance):
    """Runs the job of the reports. A failed run is returned, not raised."""

    def execution(market, **config):
        job = build_definitions([market]).resolve_job_def("small__report")
        run_config = {"ops": {"small__report_op": {"config": config}}}
        return job.execute_in_process(instance=module_instance, raise_on_error=False, run_config=run_config)

    return execution


def test_the_job_writes_a_file_and_says_where_and_what_is_in_it(run, market, module_instance):
    result = run(market, days=3, features=["close_rsi_14_1H"])
    assert result.success
    file = report_file(market, market.feature_sets[0])
    assert file == market.target_database.parent / "reports" / "small__short.html"
    assert file.read_text().count('"name":"close_rsi_14_1H"') == 1
    event = module_instance.get_latest_materialization_event(report_key(market))
    found = event.asset_materialization.metadata
    assert found["short/report"] == dg.MetadataValue.path(str(file))
    assert found["short/overview"].value.startswith("![overview](data:image/svg+xml;base64,")
    assert found["short/checks_not_passed"].value >= 2  # freshness, and what the fixture damaged
    assert found["short/hours_behind"].value > 1000
    assert 4 < found["short/megabytes"].value < 8


def test_a_feature_set_without_rows_is_left_out_and_a_market_without_any_fails(run, market, tmp_path):
    sets = [*(each.model_dump() for each in market.feature_sets), {"key": "new", "base_hours": 48}]
    more = market.model_copy(update={"feature_sets": tuple(type(market.feature_sets[0])(**each) for each in sets)})
    assert run(more).success
    assert not report_file(more, more.feature_sets[1]).exists()
    result = run(small_market(tmp_path))
    assert failures(result.all_events) == ["nothing is stored under any key of small; materialize some hours first"]


def test_the_schedule_is_daily_and_off(market):
    schedule = build_definitions([market]).get_repository_def().get_schedule_def("small__report_daily")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == "40 0 * * *"
