"""The sensor of a market's OHLCV: hours that tell the truth, and files imported as they come."""

import dagster as dg
import pandas as pd
import pytest

from feature_backfill.assets.names import ohlcv_key
from feature_backfill.automation.changes import KnownFiles
from feature_backfill.automation.imports import next_import
from feature_backfill.automation.runs import FIRST_PAUSE, Runs
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR, hour_range, partition_key, partition_keys
from feature_backfill.sources.synthetic import drop_hours, synthetic_ohlcv
from feature_backfill_tests.automation.ticks import Sensor
from feature_backfill_tests.markets import FIRST, GAP, LAST, TABLE, append_ohlcv, ohlcv_of, small_market
from feature_backfill_tests.postgres import ON_EITHER

NAME = "ohlcv"


def shown(instance, market):
    return instance.get_materialized_partitions(ohlcv_key(market))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "incoming"
    folder.mkdir()
    return folder


@pytest.fixture
def market_of_files(tmp_path, folder):
    return small_market(
        tmp_path,
        source={"database": "imported.duckdb", "table": TABLE, "folder": "incoming"},
        target_database="imported.duckdb",
    )


@ON_EITHER
def test_present_hours_are_shown_in_bulk_gaps_stay_missing_and_a_filled_gap_turns_green(instance, tmp_path):
    market = small_market(tmp_path)
    sensor = Sensor(instance, build_definitions([market]), NAME)
    assert sensor.tick() == []
    assert "reported 479 hours" in sensor.message
    everything = hour_range(FIRST, LAST)
    assert shown(instance, market) == set(partition_keys(everything.difference([GAP])))
    assert sensor.tick() == []
    assert "nothing changed" in sensor.message
    append_ohlcv(market, GAP)
    sensor.tick()
    assert "reported 1 hours" in sensor.message
    assert shown(instance, market) == set(partition_keys(everything))


def test_a_table_that_does_not_exist_yet_is_told_not_raised(instance, market_of_files):
    sensor = Sensor(instance, build_definitions([market_of_files]), NAME)
    assert sensor.tick() == []
    assert "no DuckDB file" in sensor.message


def test_files_are_imported_as_they_come_and_as_they_change(instance, market_of_files, folder):
    ohlcv = drop_hours(synthetic_ohlcv(FIRST, 60, seed=3), FIRST + 20 * HOUR, 1)
    sensor = Sensor(instance, build_definitions([market_of_files]), NAME)
    ohlcv[:30].to_csv(folder / "a.csv", index=False)
    ohlcv[30:].to_parquet(folder / "b.parquet")
    (request,) = sensor.tick()
    assert sensor.execute([request])[0].success
    assert len(ohlcv_of(market_of_files)) == 59
    hours = set(partition_keys(pd.DatetimeIndex(ohlcv["timestamp"])))
    assert shown(instance, market_of_files) == hours
    assert sensor.tick() == []
    assert sensor.tick() == []
    assert "2 files, all imported" in sensor.message
    filled = synthetic_ohlcv(FIRST, 30, seed=3)
    filled.to_csv(folder / "a.csv", index=False)
    (request,) = sensor.tick()
    assert request.run_config["ops"]["small__import"]["config"] == {"files": ["a.csv"]}
    sensor.execute([request])
    assert shown(instance, market_of_files) == hours | {partition_key(FIRST + 20 * HOUR)}
    assert sensor.tick() == []


def test_an_import_on_its_way_is_not_asked_for_again(instance, market_of_files, folder):
    synthetic_ohlcv(FIRST, 30, seed=3).to_csv(folder / "a.csv", index=False)
    sensor = Sensor(instance, build_definitions([market_of_files]), NAME)
    (request,) = sensor.tick()
    sensor.create_run(request, dg.DagsterRunStatus.QUEUED)
    assert sensor.tick() == []
    assert "an import is queued or running" in sensor.message


def test_a_broken_file_fails_the_run_not_the_other_files_and_is_tried_again_later_or_when_it_changes(
    instance, market_of_files, folder
):
    sensor = Sensor(instance, build_definitions([market_of_files]), NAME)
    (folder / "broken.csv").write_text("no,ohlcv\n1,2\n")
    synthetic_ohlcv(FIRST, 30, seed=3).to_csv(folder / "sound.csv", index=False)
    (result,) = sensor.execute(sensor.tick())
    assert not result.success
    assert len(ohlcv_of(market_of_files)) == 30
    assert sensor.tick() == []
    assert "the import of broken.csv, sound.csv failed; it is requested again at" in sensor.message
    later = pd.Timestamp.now(tz="UTC").tz_localize(None) + FIRST_PAUSE
    assert next_import(Runs(instance), market_of_files, KnownFiles(), later).files == ["broken.csv", "sound.csv"]
    (folder / "broken.csv").unlink()
    assert [request.run_config["ops"]["small__import"]["config"]["files"] for request in sensor.tick()] == [
        ["sound.csv"]
    ]


def test_the_import_writes_in_the_markets_pool(market_of_files):
    job = build_definitions([market_of_files]).resolve_job_def("small__import_files")
    (node,) = job.all_node_defs
    assert node.pools == {"small"}
