"""Materializations of single partitions taken back."""

import dagster as dg
import pytest

from feature_backfill.dagster_internals.partition_wipe import wipe_partitions

pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")


def test_what_is_reported_after_the_question_stays(either_instance):
    asset, hour, other = dg.AssetKey("features"), "2025-01-10-00:00", "2025-01-10-01:00"

    def report():
        for partition in (hour, other):
            either_instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=partition))
        return max(r.storage_id for r in either_instance.fetch_materializations(asset, limit=10).records)

    asked = report()
    stored_meanwhile = report()
    wipe_partitions(either_instance, asset, [hour], asked)
    assert either_instance.get_materialized_partitions(asset) == {hour, other}
    wipe_partitions(either_instance, asset, [hour], stored_meanwhile)
    assert either_instance.get_materialized_partitions(asset) == {other}
    wipe_partitions(either_instance, asset, [other], stored_meanwhile)
    assert either_instance.get_latest_materialization_event(asset) is None
