"""What each check finds on a damaged market."""

import dagster as dg
import pytest

from feature_backfill.checks.freshness import allowed_hours
from feature_backfill.config import HourlySchedule, KnownGap
from feature_backfill.hours import HOUR, last_closed_hour
from feature_backfill_tests.checks.evaluations import (
    FIRST,
    HOURS,
    LAST,
    LOOKBACK,
    NAME,
    STORED,
    executed,
    look,
    metadata,
    replace_in_rows,
)
from feature_backfill_tests.markets import TABLE, execute, execute_on_target
from feature_backfill_tests.runs import failures


def test_a_key_without_rows_fails_in_one_line(market):
    execute_on_target(market, "DELETE FROM features")
    (line,) = failures(executed(market, "parity").all_events)
    assert line.startswith("parity failed: no row under the key short")
    assert "materialize hours of small/features/short" in line


def test_gaps_are_listed_as_ranges(market):
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp BETWEEN ? AND ?", FIRST + 9 * HOUR, FIRST + 11 * HOUR)
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp = ?", LAST - HOUR)
    found = look(market, "continuity")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert metadata(found, "hours_without_row") == 4
    assert metadata(found, "gaps") == [
        {"first": str(LAST - HOUR), "last": str(LAST - HOUR), "hours": 1},
        {"first": str(FIRST + 9 * HOUR), "last": str(FIRST + 11 * HOUR), "hours": 3},
    ]


def test_a_known_gap_is_no_finding_until_another_one_appears_or_it_is_filled(market):
    first, last = FIRST + 9 * HOUR, FIRST + 11 * HOUR
    known = market.model_copy(update={"known_gaps": (KnownGap(first=first, last=last, note="maintenance"),)})
    assert "the known gap" in look(known, "continuity").description, "no row is missing yet"
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp BETWEEN ? AND ?", first, last)
    found = look(known, "continuity")
    assert found.passed
    assert found.description.endswith(": 3 have no row in OHLCV, all of them in known gaps")
    assert metadata(found, "known_gaps") == [
        {"first": str(first), "last": str(last), "hours_with_row": 0, "note": "maintenance"}
    ]
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp = ?", last + HOUR)
    found = look(known, "continuity")
    assert not found.passed
    assert f"4 have no row in OHLCV, 1 of them in 1 gap that is not known, {last + HOUR}" in found.description
    assert metadata(found, "gaps") == [{"first": str(last + HOUR), "last": str(last + HOUR), "hours": 1}]


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


def test_a_row_that_was_deleted_is_missed(market):
    gone = STORED[100]
    execute_on_target(market, "DELETE FROM features WHERE ts = ?", gone)
    found = look(market, "completeness")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert metadata(found, "lost") == [{"first": str(gone), "last": str(gone), "hours": 1}]


def test_hours_that_cannot_be_computed_are_not_missed(market):
    gap = STORED[100]
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp = ?", gap)
    execute_on_target(market, "DELETE FROM features WHERE ts BETWEEN ? AND ?", gap, gap + (LOOKBACK - 1) * HOUR)
    found = look(market, "completeness")
    assert found.passed
    hours = metadata(found, "hours")
    assert hours == {
        "first": str(FIRST),
        "last": str(LAST),
        "hours": HOURS,
        "stored": len(STORED) - LOOKBACK,
        "warm-up": LOOKBACK - 1,
        "after a gap": LOOKBACK - 1,
        "no row in OHLCV": 1,
    }


def test_old_rows_are_named_with_their_cause(market):
    execute_on_target(market, "DELETE FROM features WHERE ts > ?", LAST - 3 * HOUR)
    found = look(market, "freshness")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    # Another hour may have closed since the market was made.
    assert metadata(found, "hours_behind") - metadata(found, "ohlcv_hours_behind") == 3
    assert metadata(found, "ohlcv_hours_behind") <= 1
    assert f"the features are late, 3 hours behind {TABLE}: see what the sensor says" in found.description
    assert "has stopped" not in found.description
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp > ?", LAST - 3 * HOUR)
    found = look(market, "freshness")
    assert not found.passed
    assert metadata(found, "hours_behind") == metadata(found, "ohlcv_hours_behind") >= 3
    assert f"{TABLE} has stopped: it ends at {LAST - 3 * HOUR}" in found.description
    assert "are late" not in found.description


def test_a_row_in_the_future_does_not_make_a_feature_set_fresh(market):
    ahead = LAST + 1000 * HOUR
    execute_on_target(market, "UPDATE features SET ts = ? WHERE ts = ?", ahead, LAST)
    execute_on_target(market, "DELETE FROM features WHERE ts > ? AND ts <= ?", LAST - 3 * HOUR, LAST)
    found = look(market, "freshness")
    assert not found.passed
    assert metadata(found, "rows_not_closed") == 1
    assert f"the newest row is {LAST - 3 * HOUR}" in found.description
    assert f"1 row is of an hour that has not closed, the newest {ahead:%Y-%m-%d %H:%M}" in found.description
    execute_on_target(market, "DELETE FROM features WHERE ts <> ?", ahead)
    (line,) = failures(executed(market, "freshness").all_events)
    assert "has no row of a closed hour" in line


def test_hours_that_cannot_be_computed_are_not_called_late(market):
    execute_on_target(market, "DELETE FROM features WHERE ts > ?", LAST - 3 * HOUR)
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp = ?", LAST - 3 * HOUR)
    found = look(market, "freshness")
    assert not found.passed
    assert "are late" not in found.description
    assert (
        f"the 3 hours of {TABLE} since cannot be computed; of the newest: after a gap: OHLCV lacks" in found.description
    )


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


def test_all_rows_are_stale_that_rest_on_a_corrected_row(market):
    corrected = LAST - (LOOKBACK + 20) * HOUR
    execute(market, f"UPDATE {TABLE} SET volume = volume * 2 WHERE timestamp = ?", corrected)
    found = look(market, "corrections")
    assert "recompute-stale --feature-key short" in found.description
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    last = corrected + (LOOKBACK - 1) * HOUR
    assert metadata(found, "stale") == [{"first": str(corrected), "last": str(last), "hours": LOOKBACK}]
    assert metadata(found, "hours_no_longer_sound") == 0


def test_stale_rows_that_cannot_be_computed_anew_are_counted(market):
    execute(market, f"DELETE FROM {TABLE} WHERE timestamp = ?", LAST - HOUR)
    execute_on_target(market, "DELETE FROM feature_inputs WHERE ts < ?", STORED[5])
    found = look(market, "corrections")
    counts = [metadata(found, f"hours_{what}") for what in ("stale", "no_longer_sound", "stored_by_others")]
    assert counts == [2, 2, 5]  # its own hour and the newest
