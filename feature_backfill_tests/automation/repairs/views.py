"""What the tables hold, what Dagster shows of it, and in what they differ."""

import dagster as dg
import pandas as pd
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.test.utils import execute_dagster_graphql

from feature_backfill.assets.names import hourly_partitions
from feature_backfill.hours import HOUR, hour_of, hour_range
from feature_backfill_tests.markets import GAP, ohlcv_of

START = pd.Timestamp("2025-01-10")  # first hour of the market; its table begins earlier
LAST = GAP + 16 * HOUR
RUN = hour_range(GAP - 15 * HOUR, GAP + 4 * HOUR)  # computed before the gap, skipped after it
OHLCV, BARS, FEATURES = (dg.AssetKey(["small", *path]) for path in (["ohlcv"], ["bars_4h"], ["features", "short"]))
ASSETS = [OHLCV, BARS, FEATURES]
MATERIALIZED, FAILED, IN_PROGRESS = "materialized", "failed", "in progress"


def ohlcv_stamps(market):
    """The hours of the market's partitions that have a row."""
    stamps = ohlcv_of(market)["timestamp"]
    return set(stamps[stamps >= START])


def materialized(instance, asset):
    return {hour_of(key) for key in instance.get_materialized_partitions(asset)}


def status(instance, market):
    """Hours of the features by status, through the cache that the webserver reads and keeps."""
    cached = get_and_update_asset_status_cache_value(instance, FEATURES, hourly_partitions(market))
    subsets = {
        MATERIALIZED: cached.deserialize_materialized_partition_subsets(hourly_partitions(market)),
        FAILED: cached.deserialize_failed_partition_subsets(hourly_partitions(market)),
        IN_PROGRESS: cached.deserialize_in_progress_partition_subsets(hourly_partitions(market)),
    }
    return {name: {hour_of(key) for key in subset.get_partition_keys()} for name, subset in subsets.items() if subset}


QUERY = """
query Market($keys: [AssetKeyInput!]!) {
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    partitionStats { numMaterialized }
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
  }
}
"""


def seen(instance):
    """The webserver's view: hours by asset and status. It reads, and keeps, Dagster's cache of partition status."""
    origin = LoadableTargetOrigin(module_name="feature_backfill.definitions", attribute="defs")
    with in_process_test_workspace(instance, origin) as workspace:
        variables = {"keys": [asset.to_graphql_input() for asset in ASSETS]}
        nodes = execute_dagster_graphql(workspace, QUERY, variables).data["assetNodes"]
    views = {}
    for node in nodes:
        view = {}
        for found in node["assetPartitionStatuses"]["ranges"]:
            hours = hour_range(hour_of(found["startKey"]), hour_of(found["endKey"]))
            view.setdefault(found["status"], set()).update(hours)
        assert len(view.get("MATERIALIZED", ())) == node["partitionStats"]["numMaterialized"]
        views[dg.AssetKey(node["assetKey"]["path"])] = view
    return views


def counts(differences):
    """Hours reported, taken back and left alone, by asset."""
    return {d.asset: (len(d.unshown), len(d.gone), d.agreeing) for d in differences}
