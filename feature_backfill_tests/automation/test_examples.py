"""The markets of configs/examples, each with two feature sets, from the YAML alone: a table, an exchange, files."""

import shutil

import dagster as dg
import duckdb
import pandas as pd
import pytest

from feature_backfill.assets.names import bars_key, features_key, ohlcv_key, writer_pool
from feature_backfill.automation.jobs import job_name
from feature_backfill.commands.shared.instance import shipped_config
from feature_backfill.config import read_markets
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.automation.ticks import Sensor, asked_hours
from feature_backfill_tests.markets import put_ohlcv

FIRST = pd.Timestamp("2025-01-01")
OHLCV = synthetic_ohlcv(FIRST, 730, seed=5)
LAST = OHLCV["timestamp"].iloc[-1]
FIRST_WITH_720_HOURS = FIRST + 719 * HOUR


@pytest.fixture
def markets(tmp_path):
    for name in ("examples", "feature_lists"):
        shutil.copytree(shipped_config(name), tmp_path / "configs" / name)
    (tmp_path / "data" / "ethusdt").mkdir(parents=True)
    return {market.name: market for market in read_markets(tmp_path / "configs" / "examples").valid}


def rows(market, key):
    with duckdb.connect(market.target_database, read_only=True) as connection:
        return connection.execute(
            "SELECT ts, len(json_keys(features)) AS names FROM features WHERE feature_key = ? ORDER BY ts", [key]
        ).df()


def test_sensors_make_every_feature_set_current_from_a_table_and_from_files(instance, markets):
    btcusdt, ethusdt = markets["btcusdt"], markets["ethusdt"]
    put_ohlcv(btcusdt.source.database, OHLCV, btcusdt.source.table)
    OHLCV.to_parquet(ethusdt.source.folder / "all.parquet")
    definitions = build_definitions([btcusdt, ethusdt])
    ohlcv, sensor = Sensor(instance, definitions, "ohlcv"), Sensor(instance, definitions, "new_hours")
    ohlcv.execute(ohlcv.tick())
    (request,) = sensor.tick()
    assert all(result.success for result in sensor.execute([request]))
    assert sensor.tick() == []
    for market in (btcusdt, ethusdt):
        assert len(instance.get_materialized_partitions(ohlcv_key(market))) == len(OHLCV)
        for feature_set in market.feature_sets:
            asked = asked_hours(request, job_name(market, feature_set))
            assert (asked[0], asked[-1]) == (LAST - 48 * HOUR, LAST)
            stored = rows(market, feature_set.key)
            first = FIRST_WITH_720_HOURS if feature_set.base_hours == 720 else LAST - 48 * HOUR
            assert list(stored["ts"]) == list(pd.date_range(first, LAST, freq="h"))
            assert set(stored["names"]) == {len(feature_set.names)}


def test_feature_sets_of_a_market_share_its_ohlcv_bars_and_pool(markets):
    graph = build_definitions(list(markets.values())).resolve_asset_graph()
    for market in markets.values():
        assert len(market.feature_sets) == 2
        shared = {ohlcv_key(market), bars_key(market, "4H"), bars_key(market, "12H")}
        for feature_set in market.feature_sets:
            assert shared <= graph.get(features_key(market, feature_set)).parent_keys
    assert len(graph.materializable_asset_keys) == 18
    for market in markets.values():
        written = [bars_key(market, "4H"), *(features_key(market, feature_set) for feature_set in market.feature_sets)]
        assert {pool for key in written for pool in graph.get(key).pools} == {writer_pool(market)}


def test_the_catalogue_names_owners_kinds_and_links(markets):
    btcusdt = markets["btcusdt"]
    graph = build_definitions(list(markets.values())).resolve_asset_graph()
    for key in (ohlcv_key(btcusdt), bars_key(btcusdt, "4H"), features_key(btcusdt, btcusdt.feature_sets[0])):
        node = graph.get(key)
        assert node.owners == ["team:research"]
        assert "duckdb" in node.kinds
        assert node.group_name == "btcusdt"
        assert node.description
        assert isinstance(node.metadata["exchange"], dg.UrlMetadataValue)
