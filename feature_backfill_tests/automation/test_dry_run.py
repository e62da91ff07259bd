"""The plan asked for as a job."""

import pytest

from feature_backfill.automation.named import feature_set_named
from feature_backfill.definitions import build_definitions
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR
from feature_backfill_tests.markets import FIRST, GAP, small_market
from feature_backfill_tests.runs import failures


@pytest.fixture
def plan(instance, tmp_path):
    market = small_market(tmp_path)

    def run(**config):
        job = build_definitions([market]).resolve_job_def("plan")
        result = job.execute_in_process(
            instance=instance,
            run_config={"ops": {"plan_op": {"config": config}}},
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


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"market": "large"}, "no market large in configs/, which has small"),
        ({"market": "small", "feature_key": "long"}, "market small has no feature set 'long'; it has short"),
    ],
)
def test_a_name_that_is_not_there_fails_with_one_line(plan, config, message):
    (failure,) = failures(plan(**config).all_events)
    assert message in failure


def test_of_several_markets_one_must_be_named(tmp_path):
    markets = [small_market(tmp_path, name=name, target_database=f"{name}.duckdb") for name in ("one", "two")]
    with pytest.raises(UserError, match="say which market: one, two"):
        feature_set_named(markets, "", "")
    market, feature_set = feature_set_named(markets, "two", "")
    assert (market.name, feature_set.key) == ("two", "short")
