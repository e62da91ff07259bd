"""The parity check: stored rows recomputed by the oracle, on good rows and on damaged ones."""

import math

import dagster as dg

from feature_backfill.checks import oracle
from feature_backfill.checks.parity import sample, sample_size
from feature_backfill.hours import HOUR, hour_range
from feature_backfill_tests.checks.evaluations import (
    LAST,
    LOOKBACK,
    NAME,
    STORED,
    look,
    materialize,
    metadata,
    replace_in_rows,
)
from feature_backfill_tests.markets import TABLE, execute, execute_on_target, ohlcv_of


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


def test_the_reported_seed_gives_the_same_sample_again(market):
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


def test_an_infinity_that_json_cannot_say_agrees_with_null(module_instance, market):
    execute(market, f"UPDATE {TABLE} SET open = 1, high = 1, low = 1, close = 1 WHERE timestamp > ?", LAST - 60 * HOUR)
    execute_on_target(market, "DELETE FROM features WHERE ts > ?", LAST - 3 * HOUR)
    assert materialize(module_instance, market, LAST - 2 * HOUR, LAST).success
    rows = oracle.hourly_rows(ohlcv_of(market))
    assert -math.inf in oracle.features_of_hour(rows, LAST.to_pydatetime(), LOOKBACK, 0, ("1H", "4H")).values()
    assert look(market, "parity", hours=1).passed
