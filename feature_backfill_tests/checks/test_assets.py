"""The assets that carry the checks, through real runs on a real instance: what is recorded, and when a run fails."""

import dagster as dg
import pytest

from feature_backfill.assets.names import checks_key, features_key, ohlcv_key
from feature_backfill.checks import assets
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR
from feature_backfill_tests.checks.evaluations import (
    FEATURES_CHECKS,
    FIRST,
    LAST,
    OHLCV_CHECKS,
    STORED,
    executed,
    materialize,
)
from feature_backfill_tests.markets import TABLE, execute, execute_on_target
from feature_backfill_tests.runs import failures

SPEED = "last_run/hours_per_second"


@pytest.fixture
def run(module_instance, market):
    """Runs the job of the checks. A failed run is returned, not raised."""

    def execution(config=None):
        job = build_definitions([market]).resolve_job_def("small__checks")
        run_config = {"ops": {"small__features__short_checks": {"config": config}}} if config else None
        return job.execute_in_process(instance=module_instance, raise_on_error=False, run_config=run_config)

    return execution


def numbers(result):
    """By asset that the run materialized: the values of its metadata."""
    events = [event.materialization for event in result.all_events if event.is_step_materialization]
    assert all(isinstance(entry.value, int | float) for event in events for entry in event.metadata.values())
    return {event.asset_key.path[-1]: {name: entry.value for name, entry in event.metadata.items()} for event in events}


def test_the_job_makes_every_check_and_all_pass_on_a_good_market(run, market):
    result = run()
    assert result.success
    evaluations = result.get_asset_check_evaluations()
    found = {(evaluation.asset_key, evaluation.check_name) for evaluation in evaluations}
    ohlcv, features = ohlcv_key(market), features_key(market, market.feature_sets[0])
    assert found == {(checks_key(ohlcv), name) for name in OHLCV_CHECKS} | {
        (checks_key(features), name) for name in FEATURES_CHECKS
    }
    assert [evaluation.description for evaluation in evaluations if not evaluation.passed] == []
    assert not any(evaluation.blocking for evaluation in evaluations)


def test_the_checks_of_features_carry_the_numbers_to_plot_from_run_to_run(run, market):
    found = numbers(run())["short_checks"]
    assert found["freshness/hours_behind"] <= 1  # another hour may have closed since
    assert 0 < found["freshness/seconds_late"] < 2 * 3600
    assert found["completeness/rows_stored"] == len(STORED)
    assert 0 <= found["missing_values/rate_now"] < 0.5
    assert found[SPEED] > 0


def test_a_row_that_was_backfilled_says_nothing_of_how_late_rows_are(run, market):
    execute_on_target(market, "UPDATE features SET created_at = created_at + INTERVAL 2 DAYS")
    assert "freshness/seconds_late" not in numbers(run())["short_checks"]


def test_a_warning_leaves_the_run_green_and_its_numbers_can_be_plotted(run, market):
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp BETWEEN ? AND ?", FIRST + 9 * HOUR, FIRST + 11 * HOUR)
    execute(market, f"INSERT INTO {TABLE} SELECT ?, COLUMNS(* EXCLUDE timestamp) FROM {TABLE} LIMIT 1", FIRST - HOUR)
    result = run()
    assert numbers(result)["ohlcv_checks"] == {
        "errors": 0,
        "warnings": 1,
        "continuity/hours": 301,
        "continuity/hours_without_row": 3,
        "continuity/hours_in_known_gaps": 0,
        "continuity/hours_not_on_the_exchange": 0,
        "sanity/rows": 298,
        "sanity/bad_rows": 0,
    }
    failed = [event.step_key for event in result.all_events if event.is_step_failure]
    assert "small__ohlcv_checks" not in failed


def test_a_run_that_found_errors_fails_with_a_line_for_each_asset_after_all_checks_were_made(run, market):
    execute(market, f"UPDATE {TABLE} SET high = low / 2 WHERE timestamp = ?", LAST - HOUR)
    result = run({"hours": 5})
    assert not result.success
    by_ohlcv, by_features = sorted(failures(result.all_events), key=len)
    assert by_ohlcv == "sanity failed: 300 rows, 1 bad: 1 high below low"
    assert by_features.startswith("corrections, parity failed: ")
    assert " | 5 of 241 rows recomputed" in by_features
    assert "\n" not in by_features
    made = {evaluation.check_name for evaluation in result.get_asset_check_evaluations()}
    assert made == OHLCV_CHECKS | FEATURES_CHECKS
    found = numbers(result)
    assert (found["ohlcv_checks"]["errors"], found["short_checks"]["errors"]) == (1, 2)
    assert found["short_checks"]["parity/hours_departing"] == 1
    assert "parity/seed" not in found["short_checks"]


def test_checks_without_their_databases_fail_in_one_line_for_each_asset(run, market):
    market.source.database.unlink()
    market.target_database.unlink()
    result = run()
    by_ohlcv, by_features = sorted(failures(result.all_events), key=len)
    assert by_ohlcv.startswith("continuity, sanity failed: no DuckDB file ")
    assert all(name in by_features.partition(" failed: no DuckDB file ")[0] for name in FEATURES_CHECKS)
    found = numbers(result)
    assert found["ohlcv_checks"] == {"errors": 2, "warnings": 0}
    assert found["short_checks"] == {"errors": 6, "warnings": 0, SPEED: found["short_checks"][SPEED]}


def test_a_check_with_a_bug_does_not_hide_what_the_others_find(run, monkeypatch):
    def broken(market):
        """Divides by nothing."""
        return 1 / 0

    monkeypatch.setattr(assets, "OHLCV_CHECKS", (broken, *assets.OHLCV_CHECKS))
    result = run()
    assert failures(result.all_events) == ["broken failed: ZeroDivisionError('division by zero')"]
    made = {evaluation.check_name for evaluation in result.get_asset_check_evaluations()}
    assert made == OHLCV_CHECKS | FEATURES_CHECKS


def test_a_check_that_is_executed_alone_leaves_the_results_of_the_others_current(market):
    execute(market, f"UPDATE {TABLE} SET high = low / 2 WHERE timestamp = ?", LAST)
    result = executed(market, "sanity")
    assert not result.success
    assert [evaluation.check_name for evaluation in result.get_asset_check_evaluations()] == ["sanity"]
    assert numbers(result) == {}


def test_a_range_that_is_materialized_has_no_check_in_it(module_instance, market):
    result = materialize(module_instance, market, STORED[0], STORED[9])
    assert result.success
    entries = [record.event_log_entry for record in module_instance.get_records_for_run(result.run_id).records]
    kinds = {entry.dagster_event_type for entry in entries}
    assert dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED in kinds
    assert dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED not in kinds
