"""A run over some hours of its range: it sees to these, and nothing is said of the others."""

import dagster as dg
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_backfill.assets.names import bars_key, features_key
from feature_backfill.automation.jobs import batch_tags, tagged_hours
from feature_backfill.automation.runs import Runs, asked_for
from feature_backfill.cli import main
from feature_backfill.dagster_internals.listed_hours import ONLY_HOURS_TAG, only_hours, only_hours_tag
from feature_backfill.dagster_internals.partition_status import newest_plans
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR, hour_range, partition_keys
from feature_backfill.planning.ranges import Batch, batches
from feature_backfill_tests.markets import FIRST, LAST, TABLE, small_market, stored
from feature_backfill_tests.postgres import ON_EITHER

LISTED = pd.DatetimeIndex([LAST - 30 * HOUR, LAST - 29 * HOUR, LAST - 10 * HOUR, LAST])


@given(st.sets(st.integers(0, 400), min_size=1, max_size=60))
def test_a_tag_lists_any_hours(places):
    hours = pd.DatetimeIndex([FIRST + place * HOUR for place in sorted(places)])
    assert list(only_hours(only_hours_tag(hours))) == list(hours)


def test_hours_in_a_row_are_one_item():
    assert only_hours_tag(hour_range(FIRST, FIRST + 5 * HOUR)) == {
        ONLY_HOURS_TAG: "2025-01-01-00:00...2025-01-01-05:00"
    }
    assert only_hours({}) is None


def test_ranges_become_one_run_if_its_hours_can_be_listed():
    ranges = [(LAST - 9 * HOUR, LAST - 7 * HOUR), (LAST, LAST)]
    (batch,) = batches(ranges, can_list=True)
    assert (batch.first, batch.last) == (LAST - 9 * HOUR, LAST)
    assert list(batch.only) == [*hour_range(LAST - 9 * HOUR, LAST - 7 * HOUR), LAST]
    assert batches(ranges, can_list=False) == [Batch(*ranges[0]), Batch(*ranges[1])]
    assert batches(ranges[:1], can_list=True) == [Batch(*ranges[0])]


@pytest.fixture
def market(tmp_path):
    return small_market(tmp_path)


@ON_EITHER
def test_a_run_of_a_list_plans_computes_and_reports_its_hours_only(instance, market):
    (feature_set,) = market.feature_sets
    key = features_key(market, feature_set)
    tags = batch_tags(Batch(LISTED[0], LISTED[-1], LISTED))
    result = (
        build_definitions([market]).resolve_job_def("small__short").execute_in_process(instance=instance, tags=tags)
    )
    assert result.success
    assert list(stored(market)["ts"]) == list(LISTED)
    for asset in (key, bars_key(market, "4H")):
        assert instance.get_materialized_partitions(asset) == set(partition_keys(LISTED))
        assert set(newest_plans(instance, asset)) == set(partition_keys(LISTED))
    assert list(asked_for(Runs(instance), "small__short", key)) == list(LISTED)
    run = instance.get_run_by_id(result.run_id)
    assert list(tagged_hours(run.tags, hour_range(FIRST, LAST))) == list(LISTED)


def test_a_list_of_hours_is_one_run_of_the_command(market, tmp_path, monkeypatch, dagster_home):
    monkeypatch.chdir(tmp_path)
    where = ["--duckdb", "ohlcv.duckdb", "--feat-duckdb", "features.duckdb", "--table", TABLE, "--feature-key", "short"]
    hours = ["--mode", "ts_list", "--ts", *map(str, LISTED)]
    assert main(["run", *where, "--base-hours", "48", "--timeframes", "1H", "4H", *hours]) == 0
    assert list(stored(market)["ts"]) == list(LISTED)
    with dg.DagsterInstance.get() as instance:
        assert len(instance.get_runs()) == 1
