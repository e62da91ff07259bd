"""`python -m benchmarks.empty_run`: a Dagster run of assets that do nothing, shaped as a run of a feature set is.

Imports nothing but Dagster and what writes its event log.
"""

import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import dagster as dg

from feature_backfill.dagster_internals.reports import EventOfHours, report_hours, reported_already, skipped

warnings.filterwarnings("ignore", category=dg.BetaWarning)

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
FIRST_HOUR = datetime(2015, 1, 1)
HOURLY = dg.HourlyPartitionsDefinition(FIRST_HOUR, timezone="UTC")
BARS = ("bars_4h", "bars_12h", "bars_1d")


def _bars(name: str, reporting: bool = True) -> dg.AssetsDefinition:
    @dg.asset(name=name, partitions_def=HOURLY, backfill_policy=dg.BackfillPolicy.single_run())
    def bars(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        """Materialize every hour of a range."""
        if not reporting:
            return dg.MaterializeResult()
        report_hours(context, [EventOfHours(dg.AssetMaterialization(context.asset_key), context.partition_keys)])
        return reported_already()

    return bars


@dg.asset(deps=BARS, partitions_def=HOURLY, backfill_policy=dg.BackfillPolicy.single_run(), output_required=False)
def features(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    """Leave every tenth hour out, as features of hours that cannot be computed are."""
    hours = context.partition_keys
    left_out = set(hours[9::10])
    materialized = dg.AssetMaterialization(context.asset_key, metadata={"row": "computed"})
    gap = skipped(context.asset_key, {"skipped": "a gap"})
    report_hours(
        context,
        [
            EventOfHours(materialized, [hour for hour in hours if hour not in left_out]),
            EventOfHours(gap, sorted(left_out)),
        ],
    )
    yield from ()


ASSETS = [*map(_bars, BARS), features]
UNREPORTED_BARS = [_bars(name, reporting=False) for name in BARS]


def run(hours: int, assets: Sequence[dg.AssetsDefinition] = ASSETS) -> None:
    """A run over a range, on the instance of DAGSTER_HOME."""
    jobs = [dg.define_asset_job("backfill")]
    defs = dg.Definitions(assets=assets, jobs=jobs, executor=dg.in_process_executor)
    last = FIRST_HOUR + timedelta(hours=hours - 1)
    tags = {
        "dagster/asset_partition_range_start": f"{FIRST_HOUR:{HOURLY.fmt}}",
        "dagster/asset_partition_range_end": f"{last:{HOURLY.fmt}}",
    }
    with dg.DagsterInstance.get() as instance:
        job = defs.resolve_job_def("backfill")
        assert job.execute_in_process(run_config=QUIET, instance=instance, tags=tags).success


if __name__ == "__main__":
    run(1)
