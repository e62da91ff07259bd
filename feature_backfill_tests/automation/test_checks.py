"""The schedule of the checks."""

import dagster as dg

from feature_backfill.definitions import build_definitions
from feature_backfill_tests.markets import small_market


def tick(market):
    schedule = build_definitions([market]).get_repository_def().get_schedule_def("small__checks_hourly")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    with dg.build_schedule_context() as context:
        return schedule.evaluate_tick(context)


def test_the_checks_run_every_hour_once_there_is_a_database(tmp_path):
    market = small_market(tmp_path)
    assert len(tick(market).run_requests) == 1
    market.source.database.unlink()
    assert "exists yet" in tick(market).skip_message
