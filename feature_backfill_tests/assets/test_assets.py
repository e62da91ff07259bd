"""The assets through real runs on a real instance."""

import json

import dagster as dg
import pandas as pd
import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from feature_backfill import compute_features
from feature_backfill.assets.names import bars_key, features_key, hourly_partitions, ohlcv_key
from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.definitions import build_definitions
from feature_backfill.engine.bars import HourlyRows, complete_bars
from feature_backfill.hours import HOUR, hour_range, last_closed_hour, partition_key, partition_keys
from feature_backfill.store.database import connect
from feature_backfill_tests.markets import (
    FIRST,
    GAP,
    HOURS,
    LAST,
    TABLE,
    append_ohlcv,
    execute,
    execute_on_target,
    ohlcv_of,
    small_market,
    stored,
)
from feature_backfill_tests.postgres import ON_EITHER
from feature_backfill_tests.runs import failures, reasons, run_range
from feature_backfill_tests.targets import FILE_OR_LAKE, target_fields

SKIPPED = hour_range(GAP + HOUR, GAP + 47 * HOUR)
START, END = GAP - 10 * HOUR, GAP + 60 * HOUR
COMPUTED = hour_range(START, END).difference(SKIPPED).difference([GAP])


@pytest.fixture(params=FILE_OR_LAKE)
def market(tmp_path, request):
    return small_market(tmp_path, **target_fields(request))


@ON_EITHER
def test_a_range_stores_what_can_be_computed_and_reports_exactly_that(instance, market):
    key = features_key(market, market.feature_sets[0])
    assert run_range(instance, market, START, END).success
    rows = stored(market)
    assert list(rows["ts"]) == list(COMPUTED)
    expected = compute_features(ohlcv_of(market), COMPUTED, 48, 0, ["1H", "4H"]).features
    actual = pd.DataFrame([json.loads(text) for text in rows["features"]], index=expected.index, dtype=float)
    pd.testing.assert_frame_equal(actual, expected, check_exact=True)
    assert instance.get_materialized_partitions(key) == set(partition_keys(COMPUTED))
    bars = instance.get_materialized_partitions(bars_key(market, "4H"))
    assert bars == set(partition_keys(hour_range(START, END).difference([GAP])))


@ON_EITHER
def test_skipped_hours_carry_their_reason(instance, market):
    key = features_key(market, market.feature_sets[0])
    run_range(instance, market, START, END)
    found = reasons(instance, key)
    assert set(found) == set(partition_keys(SKIPPED.union([GAP])))
    assert found[partition_key(GAP)].startswith("no row in OHLCV")
    assert found[partition_key(SKIPPED[0])] == (
        f"after a gap: OHLCV lacks {GAP:%Y-%m-%d %H:%M} (1 hour); "
        f"the lookback is complete again from {GAP + 48 * HOUR:%Y-%m-%d %H:%M}"
    )
    assert len(set(found.values())) == 2


@ON_EITHER
def test_the_newest_materialization_tells_what_the_run_did(instance, market):
    run_range(instance, market, START, END)
    event = instance.get_latest_materialization_event(features_key(market, market.feature_sets[0]))
    metadata = {name: entry.value for name, entry in event.asset_materialization.metadata.items()}
    assert metadata["rows_written"] == len(COMPUTED)
    skipped = {"after a gap": len(SKIPPED), "no row in OHLCV": 1}
    assert metadata["hours_skipped"] == skipped
    computable = HOURS - len(COMPUTED) - 47 - 48
    expected = {"stored": len(COMPUTED), "can be computed": computable, "warm-up": 47, **skipped}
    assert metadata["all_hours"] == {"first": str(FIRST), "last": str(LAST), "hours": HOURS, **expected}
    assert metadata["hours_behind"] == (last_closed_hour() - END) / HOUR, "behind the clock, not behind OHLCV"
    assert metadata["ohlcv_hours_behind"] == (last_closed_hour() - LAST) / HOUR
    assert metadata["hours_per_second"] > 0
    assert "close_open_diff_current_1H" in metadata["preview"]


def test_a_rerun_computes_nothing_and_overwrite_replaces(instance, market):
    run_range(instance, market, START, END)
    before = stored(market)
    assert run_range(instance, market, START, END).success
    pd.testing.assert_frame_equal(stored(market), before)
    step = features_key(market, market.feature_sets[0]).to_python_identifier()
    overwriting = {"ops": {step: {"config": {"overwrite": True}}}}
    execute_on_target(market, "UPDATE features SET features = '{}' WHERE ts < ?", START + 3 * HOUR)
    assert run_range(instance, market, START, END, run_config=overwriting).success
    after = stored(market)
    pd.testing.assert_frame_equal(after[["ts", "features"]], before[["ts", "features"]])
    assert list(after["created_at"] > before["created_at"]) == list(before["ts"] < START + 3 * HOUR)


@ON_EITHER
def test_stored_hours_inside_a_range_are_kept_and_reported(instance, market):
    run_range(instance, market, END - 5 * HOUR, END - 3 * HOUR)
    before = stored(market)
    run_range(instance, market, END - 8 * HOUR, END)
    assert len(stored(market)) == 9
    assert stored(market).merge(before, on=["ts", "created_at"]).shape[0] == 3
    materialized = instance.get_materialized_partitions(features_key(market, market.feature_sets[0]))
    assert materialized == set(partition_keys(hour_range(END - 8 * HOUR, END)))


def test_bars_hold_the_range_and_its_lookback(instance, market):
    run_range(instance, market, START, END)
    with connect(market.target, read_only=True) as connection:
        bars = connection.table("bars_4h").order("timestamp").df()
    expected = complete_bars(HourlyRows.of(ohlcv_of(market)), "4H")
    expected = expected[expected["timestamp"].between(START - 47 * HOUR, END)].reset_index(drop=True)
    pd.testing.assert_frame_equal(bars, expected, check_dtype=False)


def test_the_source_is_left_byte_for_byte(instance, market):
    before = market.source.database.read_bytes()
    run_range(instance, market, START, END)
    assert market.source.database.read_bytes() == before


def test_features_and_ohlcv_may_share_a_file(instance, tmp_path):
    market = small_market(tmp_path, target_database="ohlcv.duckdb")
    assert run_range(instance, market, START, END).success
    assert list(stored(market)["ts"]) == list(COMPUTED)


def test_features_refuse_to_work_without_their_bars(instance, market):
    result = run_range(instance, market, START, END, only=[features_key(market, market.feature_sets[0])])
    assert not result.success
    (failure,) = failures(result.all_events)
    assert "bars_4h lacks bars" in failure
    assert "materialize small/bars_4h" in failure
    assert stored(market).empty


def test_features_refuse_bars_that_disagree_with_ohlcv(instance, market):
    run_range(instance, market, START, START + HOUR)
    execute(market, f"UPDATE {TABLE} SET volume = volume + 1 WHERE timestamp = ?", START - 5 * HOUR)
    result = run_range(
        instance, market, START + 2 * HOUR, START + 3 * HOUR, only=[features_key(market, market.feature_sets[0])]
    )
    (failure,) = failures(result.all_events)
    assert "bars_4h has bars that disagree with OHLCV" in failure
    assert len(stored(market)) == 2
    assert run_range(instance, market, START + 2 * HOUR, START + 3 * HOUR).success
    assert len(stored(market)) == 4


@ON_EITHER
def test_an_hour_that_the_source_lacks_stays_missing_on_ohlcv(instance, market):
    hours = hour_range(FIRST, LAST)
    assert report_ohlcv(instance, market, hours) == len(hours) - 1
    assert instance.get_materialized_partitions(ohlcv_key(market)) == set(partition_keys(hours.difference([GAP])))
    assert report_ohlcv(instance, market, hours) == 0
    append_ohlcv(market, GAP)
    assert report_ohlcv(instance, market, hours) == 1


def test_everything_works_with_dagsters_own_event_log(tmp_path, market):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert run_range(instance, market, GAP - 3 * HOUR, GAP + HOUR).success
        materialized = instance.get_materialized_partitions(features_key(market, market.feature_sets[0]))
        assert materialized == set(partition_keys(hour_range(GAP - 3 * HOUR, GAP - HOUR)))


def test_an_hour_that_failed_and_is_then_skipped_reads_missing(instance, market):
    features = features_key(market, market.feature_sets[0])
    partitions = hourly_partitions(market)
    execute_on_target(market, "CREATE TABLE features (no BOOLEAN)")
    assert not run_range(instance, market, GAP - HOUR, GAP + HOUR).success
    failed = get_and_update_asset_status_cache_value(instance, features, partitions)
    assert len(failed.deserialize_failed_partition_subsets(partitions)) == 3
    execute_on_target(market, "DROP TABLE features")
    assert run_range(instance, market, GAP - HOUR, GAP + HOUR).success
    now = get_and_update_asset_status_cache_value(instance, features, partitions)
    assert now.deserialize_failed_partition_subsets(partitions).is_empty
    assert len(now.deserialize_materialized_partition_subsets(partitions)) == 1


def test_the_asset_describes_the_stored_names_where_they_hide_nothing(market):
    assets = build_definitions([market]).resolve_asset_graph()
    metadata = assets.get(features_key(market, market.feature_sets[0])).metadata
    assert "dagster/column_schema" not in metadata
    rows = [line.strip("| ").split(" | ") for line in metadata["features"].value.splitlines()[2:]]
    told = [(feature, name) for feature, names, summary in rows for name in names.split(", ") if summary]
    stored = [feature.removesuffix("...") + timeframe for timeframe in ("1H", "4H") for feature, _, _ in rows]
    assert stored == market.feature_sets[0].names
    assert {feature.removesuffix("...") + timeframe for feature, timeframe in told} == set(stored)


def test_the_asset_shows_the_contract_of_its_key(market):
    assets = build_definitions([market]).resolve_asset_graph()
    contract = assets.get(features_key(market, market.feature_sets[0])).metadata["contract"].value
    assert (contract["features"], contract["timeframes"], contract["base_hours"]) == (220, "1H 4H", 48)
    assert contract["ohlcv"].startswith("market small (table ohlcv_small_1h of ")
