"""A webserver and a daemon on a folder, driven as the web UI drives it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PATIENCE_S = 90
LOCATION = "feature_backfill.definitions"
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}

LAUNCH = """
mutation ($parameters: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $parameters) {
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""

LAUNCH_RUN = """
mutation ($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) { ... on LaunchRunSuccess { run { id } } ... on PythonError { message } }
}"""

RUNS = """
query ($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs { results { id status } } } }"""

STATUS = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status runs(limit: 50) { id status } } }
}"""

SENSORS = """
query ($repository: RepositorySelector!) {
  sensorsOrError(repositorySelector: $repository) {
    ... on Sensors { results { name id sensorState { selectorId status ticks(limit: 20) { status skipReason } } } }
  }
}"""

STOP_SENSOR = "mutation ($id: String!) { stopSensor(id: $id) { __typename } }"
START_SENSOR = "mutation ($selector: SensorSelector!) { startSensor(sensorSelector: $selector) { __typename } }"

PARTITIONS = """
query ($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      assetPartitionStatuses {
        ... on TimePartitionStatuses { ranges { status startKey endKey } }
      }
    }
  }
}"""

CHECKS = """
query ($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      assetChecksOrError {
        ... on AssetChecks {
          checks { name executionForLatestMaterialization { status evaluation { severity description } } }
        }
      }
    }
  }
}"""


class Server:
    """The GraphQL API of a running webserver."""

    def __init__(self, port: int):
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, query: str, **variables: object) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.address}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def launch_assets(self, assets: list[list[str]], keys: list[str]) -> str:
        """Assets, Materialize, with these partitions chosen."""
        selection = [{"path": path} for path in assets]
        return self._launch({"assetSelection": selection, "partitionNames": keys, "fromFailure": False})

    def launch_job(self, job: str, keys: list[str], **tags: str) -> str:
        """Jobs, Launch backfill, with these partitions chosen."""
        partition_set = {"partitionSetName": f"{job}_partition_set", "repositorySelector": REPOSITORY}
        tag_list = [{"key": key, "value": value} for key, value in tags.items()]
        return self._launch({"selector": partition_set, "partitionNames": keys, "fromFailure": False, "tags": tag_list})

    def _launch(self, parameters: dict[str, object]) -> str:
        answer = self.ask(LAUNCH, parameters=parameters)["launchPartitionBackfill"]
        assert "backfillId" in answer, answer
        return str(answer["backfillId"])

    def launch_run(self, job: str, run_config: Mapping[str, object]) -> str:
        """Launch a job without partitions, as its launchpad or a schedule does. Returns the id of the run."""
        selector = {**REPOSITORY, "pipelineName": job}
        answer = self.ask(LAUNCH_RUN, parameters={"selector": selector, "runConfigData": run_config})["launchRun"]
        assert "run" in answer, answer
        return str(answer["run"]["id"])

    def runs(self, job: str) -> dict[str, str]:
        """The status of each run of a job, by id."""
        found = self.ask(RUNS, filter={"pipelineName": job})["runsOrError"]["results"]
        return {run["id"]: run["status"] for run in found}

    def finished(self, backfill_id: str) -> Any:
        """Status and runs of a backfill, once it has ended."""
        return until(lambda: self._ended(backfill_id))

    def _ended(self, backfill_id: str) -> Any:
        backfill = self.ask(STATUS, id=backfill_id)["partitionBackfillOrError"]
        return None if backfill["status"] in ("REQUESTED", "CANCELING") else backfill

    def sensors(self) -> dict[str, Any]:
        """Every sensor by name."""
        return {
            sensor["name"]: sensor for sensor in self.ask(SENSORS, repository=REPOSITORY)["sensorsOrError"]["results"]
        }

    def stop_sensors(self) -> None:
        for sensor in self.sensors().values():
            if sensor["sensorState"]["status"] == "RUNNING":
                self.ask(STOP_SENSOR, id=sensor["id"])

    def start_sensor(self, name: str) -> None:
        self.ask(START_SENSOR, selector={**REPOSITORY, "sensorName": name})

    def partitions(self, asset: list[str], status: str = "MATERIALIZED") -> list[tuple[str, str]]:
        """First and last key of every range of an asset that has a status, as the UI's bar shows it."""
        node = self.ask(PARTITIONS, key={"path": asset})["assetNodeOrError"]
        ranges = node["assetPartitionStatuses"]["ranges"]
        return [(found["startKey"], found["endKey"]) for found in ranges if found["status"] == status]

    def check(self, asset: list[str], name: str) -> Any:
        """The last result of a check, as the UI shows it; None if there is none yet."""
        found = self.ask(CHECKS, key={"path": asset})["assetNodeOrError"]["assetChecksOrError"]["checks"]
        (result,) = (check["executionForLatestMaterialization"] for check in found if check["name"] == name)
        return result


def until(answer: Callable[[], Any]) -> Any:
    """The first answer that is not None; fails after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = answer()
        if found is not None:
            return found
        time.sleep(0.3)
    raise AssertionError(f"nothing within {PATIENCE_S} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Dagster:
    """A webserver and a daemon on the market YAMLs of a folder, in processes of their own."""

    def __init__(self, folder: Path, home: Path):
        self._folder = folder
        self._environment = {**os.environ, "DAGSTER_HOME": str(home), "FEATURE_BACKFILL_CONFIGS": str(folder)}
        self._port = free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._left_alone: list[int] = []

    def start_webserver(self) -> Server:
        command = ["dagster_webserver", "-m", LOCATION, "-h", "127.0.0.1", "-p", str(self._port)]
        self._start("webserver", command)
        server = Server(self._port)
        until(lambda: _answers(server))
        return server

    def start_daemon(self) -> None:
        self._start("daemon", ["feature_backfill_tests.ui.daemon", "run", "-m", LOCATION])

    def stop(self, name: str, with_signal: int = signal.SIGINT) -> None:
        """Signal a process, and see to it that nothing of it is left."""
        process = self._processes.pop(name)
        process.send_signal(with_signal)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_alone(self, name: str) -> None:
        """Kill a process, and leave the runs that it launched alone until stop_all."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()
        self._left_alone.append(process.pid)

    def stop_all(self) -> None:
        for name in list(self._processes):
            self.stop(name)
        for group in self._left_alone:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def _start(self, name: str, module: list[str]) -> None:
        log = (self._folder / f"{name}.log").open("ab")
        command = [sys.executable, "-m", *module]
        self._processes[name] = subprocess.Popen(
            command, cwd=self._folder, env=self._environment, stdout=log, stderr=log, start_new_session=True
        )


@contextmanager
def dagster_ui(folder: Path, home: Path) -> Iterator[tuple[Server, Dagster]]:
    """A running webserver and daemon with all sensors off, stopped at the end of the block."""
    dagster = Dagster(folder, home)
    try:
        server = dagster.start_webserver()
        server.stop_sensors()
        dagster.start_daemon()
        yield server, dagster
    finally:
        dagster.stop_all()


def _answers(server: Server) -> bool | None:
    try:
        server.ask("{ version }")
    except OSError:
        return None
    return True
