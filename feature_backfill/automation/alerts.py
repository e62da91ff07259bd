"""The sensor that tells the targets of alerts.yaml what changed: one message a change of state, not one an hour.

What it remembers is not in its cursor but kept at once, message by message: see `notes`.
"""

import time
from collections.abc import Sequence

import dagster as dg
import pandas as pd

from feature_backfill.alerts.changes import changes
from feature_backfill.alerts.outbox import Memory, deliver
from feature_backfill.alerts.sending import send
from feature_backfill.assets.broken import ShownAsBroken
from feature_backfill.automation.alert_looks import Rows, findings
from feature_backfill.automation.runs import pause_after
from feature_backfill.config import Alerts, Market
from feature_backfill.dagster_internals.notes import read_notes, write_notes
from feature_backfill.errors import counted
from feature_backfill.hours import utc_now

INTERVAL_S = 30
SENDING_S = 20.0
"""How long a tick may go on sending. Dagster allows a tick 60 s; a target that hangs takes some of them by itself."""

MEMORY = "feature_backfill/alerts"


def alerts_sensor(
    alerts: Alerts, markets: Sequence[Market], broken: Sequence[ShownAsBroken], refused: str
) -> dg.SensorDefinition:
    """Looks at everything that is told of, and sends what changed. It requests nothing, and no target can fail it.

    refused: what is wrong with targets that are told of nothing; "" if nothing is.
    """
    rows: dict[str, Rows] = {}

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Tells {', '.join(target.name for target in alerts.targets)} what changed, as alerts.yaml says.",
    )
    def tell(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        now, instance = utc_now(), context.instance
        memory = Memory.model_validate_json(read_notes(instance, [MEMORY]).get(MEMORY) or "{}")
        found, problems = findings(instance, markets, broken, alerts.hours_without_row, memory, rows, now)
        changed = changes(memory.standing, found)
        memory.put(alerts.targets, changed, now)
        said = [*filter(None, [refused]), *problems, *memory.drop_old(now)]
        write_notes(instance, {MEMORY: memory.model_dump_json()})
        said += _delivered(instance, alerts, memory, now)
        count = counted(len(changed), "change") if changed else "no change"
        return dg.SkipReason("; ".join([count, *said]))

    return tell


def _delivered(instance: dg.DagsterInstance, alerts: Alerts, memory: Memory, now: pd.Timestamp) -> list[str]:
    """Send what waits, and say what became of it."""
    ends = time.monotonic() + SENDING_S

    def save() -> None:
        write_notes(instance, {MEMORY: memory.model_dump_json()})

    outcomes = [
        deliver(target, memory.waiting[target.name], now, send, pause_after, save, lambda: time.monotonic() < ends)
        for target in alerts.targets
    ]
    return [outcome for outcome in outcomes if outcome]


def silent_sensor(error: str) -> dg.SensorDefinition:
    """Stands for the sensor while alerts.yaml cannot be used, and says so at each tick."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Nobody is told of anything: alerts.yaml is broken.",
    )
    def tell() -> dg.SkipReason:
        return dg.SkipReason(f"nobody is told of anything: {error}")

    return tell
