"""The hourly schedule of a feature set, an alternative to its sensor. It is stopped by default."""

import dagster as dg

from feature_backfill.assets.late_rows import WAIT_TAG
from feature_backfill.automation.jobs import job_name
from feature_backfill.config import FeatureSet, Market
from feature_backfill.hours import last_closed_hour, partition_key, to_utc


def hourly_schedule(
    market: Market, feature_set: FeatureSet, job: "dg.UnresolvedAssetJobDefinition"
) -> dg.ScheduleDefinition:
    """Requests the hour that has just closed, a few minutes past each hour.

    If the hour's OHLCV row is late, the run waits for it as the market's `schedule` says. The run fails if the row does
    not arrive.
    """

    @dg.schedule(
        name=f"{job_name(market, feature_set)}__hourly",
        job=job,
        cron_schedule=f"{market.schedule.minute} * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"{feature_set.key}: the hour that has just closed. Fails if its row does not arrive in time.",
    )
    def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        moment = to_utc([context.scheduled_execution_time])[0]
        hour = last_closed_hour(moment)
        if hour < market.first_hour:
            return dg.SkipReason(f"{hour} is before {market.first_hour}, the first hour of {market.name}")
        return dg.RunRequest(partition_key=partition_key(hour), tags={WAIT_TAG: "true"})

    return hourly
