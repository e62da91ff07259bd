"""The check that is red as long as a market's YAML is broken, and the sensor that makes it so without being asked."""

from collections.abc import Sequence

import dagster as dg
import pandas as pd
from pydantic import BaseModel

from feature_backfill.assets.broken import ShownAsBroken
from feature_backfill.automation.changes import digest
from feature_backfill.hours import utc_now

CHECK = "can_be_used"
INTERVAL_S = 30
REPEATED = pd.Timedelta(hours=1)
"""After so long the sensor says the same again."""


class BrokenCursor(BaseModel):
    """What was last reported, as a digest, and when: UTC-naive, in ISO format."""

    reported: str
    at: str


def broken_check(shown: ShownAsBroken) -> dg.AssetChecksDefinition:
    """Fails with the line that says what is wrong with the file."""

    @dg.asset_check(asset=shown.key, name=CHECK, description="The market's YAML describes a market that can run.")
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.ERROR, description=shown.error)

    return check


def broken_sensor(every: Sequence[ShownAsBroken]) -> dg.SensorDefinition:
    """Reports the checks of all broken files as failed: at once, and every hour as long as the files are broken."""
    errors = [shown.broken.error for shown in every]
    state = digest(*errors)

    @dg.sensor(
        name="broken_markets",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports the checks of markets whose YAML is broken as failed, once an hour.",
    )
    def broken_markets(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = utc_now()
        last = BrokenCursor.model_validate_json(context.cursor) if context.cursor else None
        if last is not None and last.reported == state and now - REPEATED < pd.Timestamp(last.at) <= now:
            return dg.SensorResult(skip_reason="; ".join(errors), cursor=context.cursor)
        return dg.SensorResult(
            skip_reason="; ".join(errors),
            cursor=BrokenCursor(reported=state, at=now.isoformat()).model_dump_json(),
            asset_events=[
                dg.AssetCheckEvaluation(
                    asset_key=shown.key,
                    check_name=CHECK,
                    passed=False,
                    severity=dg.AssetCheckSeverity.ERROR,
                    description=shown.error,
                )
                for shown in every
            ],
        )

    return broken_markets
