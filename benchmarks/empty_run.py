"""`python -m benchmarks.empty_run`: a Dagster run of assets that do nothing, shaped as a run of a feature set is.

Imports nothing but Dagster and what writes its event log.
"""

import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from feature_backfill.event_log import report_hours

warnings.filterwarnings("ignore", category=dg.BetaWarning)

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
FIRST_HOUR = datetime(2015, 1, 1)
HOURLY = dg.HourlyPartitionsDefinition(FIRST_HOUR, timezone="UTC")
BARS = ("bars_4h", "bars_12h", "bars_1d")


def _bars(name: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, partitions_def=HOURLY, backfill_policy=dg.BackfillPolicy.single_run())
    def bars() -> None:
        """Materialize every hour of a range."""

    return bars


@dg.asset(deps=BARS, partitions_def=HOURLY, backfill_policy=dg.BackfillPolicy.single_run(), output_required=False)
def features(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    """Leave every tenth hour out, as features of hours that cannot be computed are."""
    key = context.asset_key
    materializations, observations = [], []
    for number, hour in enumerate(context.partition_keys):
        if number % 10 == 9:
            observations.append(dg.AssetObservation(key, metadata={"skipped": "a gap"}, partition=hour))
        else:
            materializations.append(dg.AssetMaterialization(key, metadata={"row": "computed"}, partition=hour))
    report_hours(context, materializations, observations)
    yield from ()


ASSETS = [*map(_bars, BARS), features]


def run(hours: int) -> None:
    """A run over a range, on the instance of DAGSTER_HOME."""
    jobs = [dg.define_asset_job("backfill")]
    defs = dg.Definitions(assets=ASSETS, jobs=jobs, executor=dg.in_process_executor)
    last = FIRST_HOUR + timedelta(hours=hours - 1)
    tags = {
        ASSET_PARTITION_RANGE_START_TAG: f"{FIRST_HOUR:{HOURLY.fmt}}",
        ASSET_PARTITION_RANGE_END_TAG: f"{last:{HOURLY.fmt}}",
    }
    with dg.DagsterInstance.get() as instance:
        job = defs.resolve_job_def("backfill")
        assert job.execute_in_process(run_config=QUIET, instance=instance, tags=tags).success


if __name__ == "__main__":
    run(1)
