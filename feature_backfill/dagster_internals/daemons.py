"""Whether a daemon is there that evaluates sensors.

Rests on these facts of Dagster 1.13.27, none of them public: `get_daemon_statuses`, and the name of the daemon.
"""

import dagster as dg
from dagster._daemon.controller import get_daemon_statuses

_SENSORS = "SENSOR"


def evaluates_sensors(instance: dg.DagsterInstance) -> bool:
    """Whether some daemon that evaluates the sensors of an instance has given a sign of life lately."""
    return bool(get_daemon_statuses(instance, [_SENSORS], ignore_errors=True)[_SENSORS].healthy)
