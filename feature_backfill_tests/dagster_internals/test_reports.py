"""Reports of many hours at once leave what Dagster's reports of each hour leave."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import deserialize_value

from feature_backfill.dagster_internals.reports import report_hours, report_runless, reported_already
from feature_backfill_tests.dagster_internals.history import BARS, BATCHED, HOURLY, HOURS, OHLCV, event_log, hour_tags

pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")


@pytest.mark.parametrize(
    ("metadata", "hours"),
    [
        ({"n": 440}, HOURS),
        ({}, HOURS[:1]),
        ({"of": HOURS[0]}, HOURS[:4]),  # the text of its first partition
        ({"of": f'"partition": "{HOURS[0]}"'}, HOURS[:3]),
        ({"of": HOURS[1]}, HOURS[:2]),
        ({"note": "50 % \u20bf | :head ? \\"}, HOURS[:3]),
        ({"n": 440}, ['a "quoted" \u20bf|\\', "Z\u00fcrich", HOURS[0], "?"]),
    ],
)
def test_events_of_many_hours_are_stored_to_the_byte_as_dagster_stores_each(
    metadata: Mapping[str, Any], hours: Sequence[str]
) -> None:
    with dg.instance_for_test(overrides=BATCHED) as instance:
        report_runless(instance, [(dg.AssetMaterialization(OHLCV, metadata=metadata), hours)])
        storage = event_log(instance)
        for shard in ("", "index"):
            with storage.run_connection(shard) as conn:
                rows = [dict(row) for row in conn.execute(SqlEventLogStorageTable.select()).mappings()]
            assert [row.pop("id") for row in rows] == [*range(1, len(hours) + 1)]
            entries = [deserialize_value(row["event"], dg.EventLogEntry) for row in rows]
            assert rows == [storage._event_to_row(entry) for entry in entries]
            assert [entry.asset_materialization for entry in entries] == [
                dg.AssetMaterialization(OHLCV, metadata=metadata, partition=hour) for hour in hours
            ]


def test_an_asset_that_reported_its_hours_is_reported_once_and_steps_downstream_go_on() -> None:
    @dg.asset(name="bars", partitions_def=HOURLY, backfill_policy=dg.BackfillPolicy.single_run())
    def reports(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        report_hours(context, [(dg.AssetMaterialization(BARS), context.partition_keys)])
        return reported_already()

    @dg.asset(deps=[reports], partitions_def=HOURLY, backfill_policy=dg.BackfillPolicy.single_run())
    def after() -> None: ...

    for overrides in ({}, BATCHED):
        with dg.instance_for_test(overrides=overrides) as instance:
            result = dg.materialize([reports, after], instance=instance, tags=hour_tags(0, 3))
            for key in (BARS, after.key):
                events = instance.fetch_materializations(key, limit=10).records
                assert sorted(str(event.partition_key) for event in events) == HOURS[:4]
            assert [event.partition for event in result.get_asset_materialization_events()][:4] == HOURS[:4]


def test_an_asset_called_without_a_run_reports_too() -> None:
    materialized, observed = dg.AssetMaterialization("features"), dg.AssetObservation("features")

    @dg.asset(name="features")
    def called(context: dg.AssetExecutionContext) -> None:
        report_hours(context, [(materialized, HOURS[:1]), (observed, HOURS[3:4])])

    context = dg.build_asset_context()
    called(context)
    assert context.op_execution_context.get_events() == [
        dg.AssetMaterialization("features", partition=HOURS[0]),
        dg.AssetObservation("features", partition=HOURS[3]),
    ]
