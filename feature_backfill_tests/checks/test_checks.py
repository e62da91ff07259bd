"""The asset checks through real runs on a real instance: quiet on a good market, and telling where on a damaged one."""

import math
import shutil

import dagster as dg
import duckdb
import pandas as pd
import pytest

from feature_backfill.assets.names import bars_key, features_key, ohlcv_key
from feature_backfill.automation.jobs import range_tags
from feature_backfill.checks import oracle
from feature_backfill.checks.freshness import allowed_hours
from feature_backfill.checks.market import checked_key
from feature_backfill.checks.parity import sample, sample_size
from feature_backfill.config import HourlySchedule, Market
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import hour_range, last_closed_hour
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.markets import TABLE, execute, small_market

HOUR = pd.Timedelta(hours=1)
HOURS, LOOKBACK = 300, 60
LAST = last_closed_hour()
FIRST = LAST - (HOURS - 1) * HOUR
STORED = hour_range(FIRST + (LOOKBACK - 1) * HOUR, LAST)
NAME = "close_rsi_14_1H"
OHLCV_CHECKS = {"continuity", "sanity"}
FEATURES_CHECKS = {"freshness", "completeness", "corrections", "feature_names", "missing_values", "parity"}


@pytest.fixture(scope="module")
def instance(module_instance):
    return module_instance


@pytest.fixture(scope="module")
def filled(tmp_path_factory, instance):
    """The folder of a market that is current, with every hour stored that can be computed."""
    folder = tmp_path_factory.mktemp("market")
    with duckdb.connect(folder / "ohlcv.duckdb") as connection:
        connection.register("synthetic", synthetic_ohlcv(FIRST, HOURS, seed=3))
        connection.execute(f"CREATE TABLE {TABLE} AS FROM synthetic")
    market = current_market(folder)
    assert materialize(instance, market, STORED[0], STORED[-1]).success
    return folder


@pytest.fixture
def market(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "market")
    return current_market(tmp_path / "market")


def current_market(folder) -> Market:
    feature_set = {"key": "short", "base_hours": LOOKBACK, "timeframes": ["1H", "4H"]}
    return small_market(folder, first_hour=FIRST, feature_sets=[feature_set])


def materialize(instance, market, first, last):
    """What the UI and `dagster asset materialize` do with a selection of assets and a range."""
    keys = {bars_key(market, "4H"), features_key(market, market.feature_sets[0])}
    job = build_definitions([market]).resolve_implicit_global_asset_job_def().get_subset(asset_selection=keys)
    return job.execute_in_process(instance=instance, tags=range_tags(first, last))


def executed(market, name, config=None):
    """What the UI does when a check is executed on its own; recorded in memory."""
    on = ohlcv_key(market) if name in OHLCV_CHECKS else features_key(market, market.feature_sets[0])
    key = dg.AssetCheckKey(checked_key(on), name)
    job = build_definitions([market]).resolve_implicit_global_asset_job_def().get_subset(asset_check_selection={key})
    step = f"{key.asset_key.to_python_identifier()}_{name}"
    return job.execute_in_process(
        raise_on_error=False,
        run_config={"ops": {step: {"config": config}}} if config else None,
    )


def look(market, name, **config):
    (evaluation,) = executed(market, name, config).get_asset_check_evaluations()
    return evaluation


def metadata(evaluation, name):
    entry = evaluation.metadata[name]
    return [record.data for record in entry.records] if isinstance(entry, dg.TableMetadataValue) else entry.value


def ohlcv_of(market):
    with duckdb.connect(market.source.database, read_only=True) as connection:
        return connection.table(TABLE).df()


def change_rows(market, statement, *values):
    with duckdb.connect(market.target_database) as connection:
        connection.execute(statement, list(values))


def replace_in_rows(market, pattern, replacement, first, last):
    change_rows(
        market,
        "UPDATE features SET features = regexp_replace(features, ?, ?) WHERE ts BETWEEN ? AND ?",
        pattern,
        replacement,
        first,
        last,
    )


# --- in all ---


def test_the_job_runs_every_check_and_all_pass_on_a_good_market(instance, market):
    result = build_definitions([market]).resolve_job_def("small__checks").execute_in_process(instance=instance)
    evaluations = result.get_asset_check_evaluations()
    found = {(evaluation.asset_key, evaluation.check_name) for evaluation in evaluations}
    ohlcv, features = ohlcv_key(market), features_key(market, market.feature_sets[0])
    assert found == {(checked_key(ohlcv), name) for name in OHLCV_CHECKS} | {
        (checked_key(features), name) for name in FEATURES_CHECKS
    }
    assert [evaluation.description for evaluation in evaluations if not evaluation.passed] == []
    assert not any(evaluation.blocking for evaluation in evaluations)


def test_a_range_that_is_materialized_has_no_check_in_it(instance, market):
    result = materialize(instance, market, STORED[0], STORED[9])
    assert result.success
    entries = [record.event_log_entry for record in instance.get_records_for_run(result.run_id).records]
    kinds = {entry.dagster_event_type for entry in entries}
    assert dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED in kinds
    assert dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED not in kinds


def failures(result):
    events = [event for event in result.all_events if event.is_step_failure]
    return [event.step_failure_data.user_failure_data.description for event in events]


def test_checks_that_cannot_look_fail_in_one_line_each(instance, market):
    market.source.database.unlink()
    market.target_database.unlink()
    job = build_definitions([market]).resolve_job_def("small__checks")
    told = failures(job.execute_in_process(instance=instance, raise_on_error=False))
    assert len(told) == len(OHLCV_CHECKS | FEATURES_CHECKS)
    assert all(line.startswith("no DuckDB file ") for line in told)


def test_a_key_without_rows_is_told(market):
    change_rows(market, "DELETE FROM features")
    (told,) = failures(executed(market, "parity"))
    assert told.startswith("no row under the key short")
    assert "materialize hours of small/features/short" in told


# --- OHLCV ---


def test_gaps_are_listed_as_ranges(market):
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp BETWEEN ? AND ?", FIRST + 9 * HOUR, FIRST + 11 * HOUR)
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp = ?", LAST - HOUR)
    found = look(market, "continuity")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert metadata(found, "hours_missing") == 4
    assert metadata(found, "gaps") == [
        {"first": str(LAST - HOUR), "last": str(LAST - HOUR), "hours": 1},
        {"first": str(FIRST + 9 * HOUR), "last": str(FIRST + 11 * HOUR), "hours": 3},
    ]


def test_bad_rows_are_counted_by_fault(market):
    execute(market, f"UPDATE {TABLE} SET high = low / 2 WHERE timestamp <= ?", FIRST + HOUR)
    execute(market, f"UPDATE {TABLE} SET volume = 'nan' WHERE timestamp = ?", LAST)
    execute(market, f"INSERT INTO {TABLE} SELECT ?, COLUMNS(* EXCLUDE timestamp) FROM {TABLE} LIMIT 1", LAST + 5 * HOUR)
    found = look(market, "sanity")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert metadata(found, "by_fault") == {"high below low": 2, "volume is not a number": 1, "in the future": 1}
    examples = {(line["timestamp"], line["fault"]) for line in metadata(found, "examples")}
    assert (str(LAST), "volume is not a number") in examples


def test_the_row_of_the_hour_that_is_open_is_not_judged(market):
    execute(market, f"INSERT INTO {TABLE} VALUES (?, 1, 0, 2, 1, 1)", last_closed_hour() + HOUR)
    assert look(market, "sanity").passed


# --- a feature set ---


def test_a_row_that_was_deleted_is_missed(market):
    gone = STORED[100]
    change_rows(market, "DELETE FROM features WHERE ts = ?", gone)
    found = look(market, "completeness")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert metadata(found, "lost") == [{"first": str(gone), "last": str(gone), "hours": 1}]


def test_hours_that_cannot_be_computed_are_not_missed(market):
    gap = STORED[100]
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp = ?", gap)
    change_rows(market, "DELETE FROM features WHERE ts BETWEEN ? AND ?", gap, gap + (LOOKBACK - 1) * HOUR)
    found = look(market, "completeness")
    assert found.passed
    told = metadata(found, "hours_that_cannot_be_computed")
    assert told == {"missing hours": LOOKBACK - 1, "no row in OHLCV": 1}


def test_old_rows_are_told_and_whose_fault_it_is(market):
    change_rows(market, "DELETE FROM features WHERE ts > ?", LAST - 3 * HOUR)
    found = look(market, "freshness")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert metadata(found, "hours_behind_ohlcv") == 3
    assert "see what the sensor says" in found.description
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp > ?", LAST - 3 * HOUR)
    found = look(market, "freshness")
    assert not found.passed
    assert metadata(found, "hours_behind_ohlcv") == 0
    assert metadata(found, "hours_behind_clock") >= 3
    assert "check what fills it" in found.description


def test_the_patience_of_freshness_is_that_of_the_schedule(market):
    assert allowed_hours(market) == 1
    patient = HourlySchedule(minute=10, retries=24, wait_seconds=600)
    assert allowed_hours(market.model_copy(update={"schedule": patient})) == 5


def test_a_feature_that_begins_to_lack_its_value_is_named(market):
    replace_in_rows(market, f'"{NAME}":[^,}}]*', f'"{NAME}":null', LAST - 19 * HOUR, LAST)
    found = look(market, "missing_values")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    (line,) = metadata(found, "jumped")
    assert line["feature"] == NAME
    assert line["now"] == pytest.approx(20 / 48)
    assert line["before_at_most"] == 0


def test_rows_with_other_names_are_listed(market):
    first, last = STORED[10], STORED[12]
    replace_in_rows(market, f'"{NAME}":[^,}}]*,', "", first, last)
    replace_in_rows(market, f'"{NAME}"', '"another"', LAST, LAST)
    found = look(market, "feature_names")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert metadata(found, "sets_of_names") == 3
    names = len(market.feature_sets[0].names)
    assert metadata(found, "other_names") == [
        {
            "first": str(first),
            "last": str(last),
            "hours": 3,
            "names": names - 1,
            "lacking": f"1: {NAME}",
            "unknown": "none",
        },
        {
            "first": str(LAST),
            "last": str(LAST),
            "hours": 1,
            "names": names,
            "lacking": f"1: {NAME}",
            "unknown": "1: another",
        },
    ]


# --- parity ---


def test_a_row_that_was_changed_departs(market):
    replace_in_rows(market, f'"{NAME}":[^,}}]*', f'"{NAME}":12.5', LAST - HOUR, LAST - HOUR)
    found = look(market, "parity")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert metadata(found, "hours_departing") == 1
    (line,) = metadata(found, "departing")
    assert line["hour"] == str(LAST - HOUR)
    assert line["finding"].startswith(f"1 values, {NAME}: 12.5 instead of ")
    assert [line["feature"] for line in metadata(found, "worst_features")] == [NAME]


def test_rows_depart_whose_ohlcv_was_corrected(market):
    execute(market, f"UPDATE {TABLE} SET volume = volume * 2 WHERE timestamp = ?", LAST - 4 * HOUR)
    found = look(market, "parity", hours=15)
    hours = {line["hour"] for line in metadata(found, "departing")}
    assert hours == {str(hour) for hour in hour_range(LAST - 4 * HOUR, LAST)}


def test_rows_depart_whose_window_is_no_longer_sound(market):
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp = ?", LAST - HOUR)
    found = look(market, "parity", hours=9)
    assert [line["finding"] for line in metadata(found, "departing")] == [
        f"there should be no row: no row at {LAST - HOUR}"
    ] * 2


def test_a_seed_is_told_and_gives_the_sample_again(market):
    seed = metadata(look(market, "parity", hours=3), "seed")
    again = look(market, "parity", hours=3, seed=seed)
    assert metadata(again, "seed") == seed
    drawn = sample(STORED, 30, seed)
    assert len(drawn) == 30
    assert set(STORED[-10:]) <= set(drawn)
    assert drawn.equals(sample(STORED, 30, seed))
    assert not drawn.equals(sample(STORED, 30, seed + 1))
    with_a_newer_row = sample(hour_range(STORED[0], LAST + HOUR), 30, seed)
    assert len(with_a_newer_row.intersection(drawn)) >= 28


def test_few_rows_are_all_recomputed(market):
    assert list(sample(STORED[:5], 60, 1)) == list(STORED[:5])
    assert sample_size(market.feature_sets[0]) == 60
    assert sample_size(market.feature_sets[0].model_copy(update={"base_hours": 24 * 366})) == 12


def test_an_infinity_that_json_cannot_say_agrees_with_null(instance, market):
    execute(market, f"UPDATE {TABLE} SET open = 1, high = 1, low = 1, close = 1 WHERE timestamp > ?", LAST - 60 * HOUR)
    change_rows(market, "DELETE FROM features WHERE ts > ?", LAST - 3 * HOUR)
    assert materialize(instance, market, LAST - 2 * HOUR, LAST).success
    rows = oracle.hourly_rows(ohlcv_of(market))
    assert -math.inf in oracle.features_of_hour(rows, LAST.to_pydatetime(), LOOKBACK, 0, ("1H", "4H")).values()
    assert look(market, "parity", hours=1).passed


# --- corrections ---


def test_all_rows_are_stale_that_rest_on_a_corrected_row(market):
    corrected = LAST - (LOOKBACK + 20) * HOUR
    execute(market, f"UPDATE {TABLE} SET volume = volume * 2 WHERE timestamp = ?", corrected)
    found = look(market, "corrections")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    last = corrected + (LOOKBACK - 1) * HOUR
    assert metadata(found, "stale") == [{"first": str(corrected), "last": str(last), "hours": LOOKBACK}]
    assert metadata(found, "hours_no_longer_sound") == 0


def test_stale_rows_that_cannot_be_computed_anew_are_counted(market):
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp = ?", LAST - HOUR)
    change_rows(market, "DELETE FROM feature_inputs WHERE ts < ?", STORED[5])
    found = look(market, "corrections")
    counts = [metadata(found, f"hours_{what}") for what in ("stale", "no_longer_sound", "stored_by_others")]
    assert counts == [2, 2, 5]  # its own hour and the newest
