"""Reports of many hours at once leave what Dagster's reports of each hour leave."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import deserialize_value

from feature_backfill.dagster_internals.reports import (
    EventOfHours,
    report_hours,
    report_runless,
    reported_already,
    skipped,
)
from feature_backfill_tests.dagster_internals.history import BARS, BATCHED, HOURLY, HOURS, OHLCV, event_log, hour_tags

pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")


def rows_of(instance: dg.DagsterInstance, shard: str) -> list[dict[str, Any]]:
    with event_log(instance).run_connection(shard) as conn:
        return [dict(row) for row in conn.execute(SqlEventLogStorageTable.select()).mappings()]


@pytest.mark.parametrize(
    ("metadata", "hours"),
    [
        ({"n": 440}, HOURS),
        ({}, HOURS[:1]),
        ({"of": HOURS[0]}, HOURS[:4]),  # the text of its first partition
        ({"of": f'"partition": "{HOURS[0]}"'}, HOURS[:3]),
        ({"note": "50 % \u20bf | :head ? \\ %s \x010"}, HOURS[:3]),
        ({"n": 440}, ['a "quoted" \u20bf|\\', "Z\u00fcrich", HOURS[0], "?"]),
    ],
)
def test_every_hour_has_the_event_that_dagster_would_store(metadata: Mapping[str, Any], hours: Sequence[str]) -> None:
    closes, versions = [1.5 * at for at in range(len(hours))], [f'v"{at}"' for at in range(len(hours))]
    event = dg.AssetMaterialization(OHLCV, metadata=metadata)
    of_hours = EventOfHours(event, hours, numbers={"close": closes}, tags={"dagster/data_version": versions})
    with dg.instance_for_test(overrides=BATCHED) as instance:
        report_runless(instance, [of_hours])
        rows = rows_of(instance, "index")
        assert [row.pop("id") for row in rows] == [*range(1, len(hours) + 1)]
        entries = [deserialize_value(row.pop("event"), dg.EventLogEntry) for row in rows]
        for row, entry in zip(rows, entries, strict=True):
            expected = event_log(instance)._event_to_row(entry)
            assert abs((row.pop("timestamp") - expected.pop("timestamp")).total_seconds()) < 1e-5
            assert row.items() <= expected.items()
        assert [entry.asset_materialization for entry in entries] == [
            dg.AssetMaterialization(
                OHLCV,
                partition=hour,
                metadata={**metadata, "close": close},
                tags={"dagster/data_version": version},
            )
            for hour, close, version in zip(hours, closes, versions, strict=True)
        ]


def test_the_log_of_a_run_has_one_line_for_all_hours_and_the_times_of_the_hours_differ() -> None:
    with dg.instance_for_test(overrides=BATCHED) as instance:
        report_runless(instance, [EventOfHours(dg.AssetMaterialization(OHLCV), HOURS)])
        (line,) = rows_of(instance, "")
        (entry,) = [deserialize_value(line["event"], dg.EventLogEntry)]
        every = f"{HOURS[0]} .. {HOURS[-1]}, {len(HOURS)} hours"
        assert entry.asset_materialization.metadata["hours"].value == every
        times = [int(1000 * row["timestamp"].timestamp()) for row in rows_of(instance, "index")]
        assert times == sorted(set(times))


def test_an_asset_that_reported_its_hours_is_reported_once_and_steps_downstream_go_on() -> None:
    @dg.asset(name="bars", partitions_def=HOURLY, backfill_policy=dg.BackfillPolicy.single_run())
    def reports(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        report_hours(context, [EventOfHours(dg.AssetMaterialization(BARS), context.partition_keys)])
        return reported_already()

    @dg.asset(deps=[reports], partitions_def=HOURLY, backfill_policy=dg.BackfillPolicy.single_run())
    def after() -> None: ...

    for overrides in ({}, BATCHED):
        with dg.instance_for_test(overrides=overrides) as instance:
            dg.materialize([reports, after], instance=instance, tags=hour_tags(0, 3))
            for key in (BARS, after.key):
                events = instance.fetch_materializations(key, limit=10).records
                assert sorted(str(event.partition_key) for event in events) == HOURS[:4]


def test_an_asset_called_without_a_run_reports_too() -> None:
    materialized = dg.AssetMaterialization("features")
    left_out = skipped(dg.AssetKey("features"), {"why": "a gap"})

    @dg.asset(name="features")
    def called(context: dg.AssetExecutionContext) -> None:
        report_hours(context, [EventOfHours(materialized, HOURS[:1]), EventOfHours(left_out, HOURS[3:4])])

    context = dg.build_asset_context()
    called(context)
    assert context.op_execution_context.get_events() == [
        dg.AssetMaterialization("features", partition=HOURS[0]),
        dg.AssetObservation("features", partition=HOURS[3], metadata={"why": "a gap"}),
    ]


def test_a_skipped_hour_is_shown_as_skipped_and_by_other_event_logs_as_observed() -> None:
    @dg.asset(name="bars", partitions_def=HOURLY, output_required=False)
    def leaves_out(context: dg.AssetExecutionContext):
        report_hours(context, [EventOfHours(skipped(BARS, {"why": "a gap"}), [context.partition_key])])
        yield from ()

    for overrides, fetched in (({}, "fetch_observations"), (BATCHED, "fetch_failed_materializations")):
        with dg.instance_for_test(overrides=overrides) as instance:
            assert dg.materialize([leaves_out], instance=instance, partition_key=HOURS[3]).success
            (record,) = getattr(instance, fetched)(BARS, limit=10).records
            assert record.partition_key == HOURS[3]
            data = record.event_log_entry.dagster_event.event_specific_data
            event = getattr(data, "asset_materialization_failure", None) or data.asset_observation
            assert event.metadata["why"].value == "a gap"
            assert instance.get_materialized_partitions(BARS) == set()
