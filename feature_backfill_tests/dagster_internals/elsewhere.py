"""A launcher of runs elsewhere: it executes nothing, and says of each worker what a test told it."""

from collections.abc import Mapping
from typing import Any, Self

from dagster import DagsterRun
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._serdes import ConfigurableClass, ConfigurableClassData

SETTINGS = {"run_launcher": {"module": __name__, "class": "LauncherElsewhere"}}
"""The lines of a `dagster.yaml` that name it."""


class LauncherElsewhere(RunLauncher, ConfigurableClass):
    """health: by run id; a launcher that is asked about another run cannot be reached."""

    def __init__(self, inst_data: ConfigurableClassData | None = None):
        self._inst_data = inst_data
        self.health: dict[str, WorkerStatus] = {}
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        pass

    def terminate(self, run_id: str) -> bool:
        return False

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    @property
    def supports_resume_run(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        if run.run_id not in self.health:
            raise ConnectionError("the head does not answer")
        return CheckRunHealthResult(self.health[run.run_id], "its node has died")
