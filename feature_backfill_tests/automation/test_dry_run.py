"""The plan asked for as a job."""

import pytest

from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR
from feature_backfill_tests.markets import FIRST, GAP, small_market
from feature_backfill_tests.runs import failures


@pytest.fixture
def plan(instance, tmp_path):
    market = small_market(tmp_path)

    def run(**config):
        job = build_definitions([market]).resolve_job_def("small__short__plan")
        result = job.execute_in_process(
            instance=instance,
            run_config={"ops": {"small__short__plan_op": {"config": config}}},
            raise_on_error=False,
        )
        assert not market.target_database.exists(), "a plan writes nothing"
        return result

    return run


def test_a_plan_counts_hours_and_names_ranges_and_reasons(plan):
    result = plan(start=str(GAP - 2 * HOUR), end=str(GAP + 49 * HOUR))
    (output,) = [event for event in result.all_events if event.is_successful_output]
    counts = {name: value.value for name, value in output.step_output_data.metadata.items()}
    table = counts.pop("ranges")
    assert counts == {
        "first": str(GAP - 2 * HOUR),
        "last": str(GAP + 49 * HOUR),
        "hours": 52,
        "can be computed": 4,
        "after a gap": 47,
        "no row in OHLCV": 1,
    }
    assert f"| can be computed | 2 | {GAP - 2 * HOUR} | {GAP - HOUR} |" in table
    assert "| after a gap | 47" in table


def test_a_time_that_does_not_parse_fails_with_one_line(plan):
    result = plan(start="yesterday")
    assert not result.success
    (failure,) = failures(result.all_events)
    assert "not a timestamp: 'yesterday'" in failure


def test_hours_before_the_first_fail_with_one_line(plan):
    result = plan(start=str(FIRST - HOUR), end=str(FIRST + HOUR))
    assert not result.success
    (failure,) = failures(result.all_events)
    assert f"begins before {FIRST}, the first hour of small" in failure
