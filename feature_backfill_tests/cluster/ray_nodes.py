"""A Ray head and its workers on loopback, started as docs/cluster.md says, each a tree of processes of this machine."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import requests

from feature_backfill_tests.ui.server import free_port

PATIENCE_S = 90
OBJECT_STORE_BYTES = 100_000_000  # nothing of ours goes through it
RAY = Path(sys.executable).with_name("ray")


class RayNodes:
    """A head without CPUs of its own, and workers that come and go."""

    def __init__(self, folder: Path):
        self._folder = folder
        path = f"{RAY.parent}{os.pathsep}{os.environ['PATH']}"  # a job begins with `dagster`
        self._environment = {**os.environ, "PATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
        self._gcs, self._job_server = free_port(), free_port()
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def address(self) -> str:
        """Of the job server."""
        return f"http://127.0.0.1:{self._job_server}"

    def start_head(self) -> None:
        self._start(
            "head",
            *("--head", "--port", self._gcs, "--ray-client-server-port", free_port(), "--num-cpus", 0),
            *("--dashboard-host", "127.0.0.1", "--dashboard-port", self._job_server, "--temp-dir", self._folder),
        )
        _until(lambda: bool(self._alive()), "Ray's head does not come up", self._log("head"))

    def start_worker(self, name: str, cpus: int = 1) -> None:
        """Start a worker and wait until the cluster has it: two that start at once take the same socket."""
        before = self._alive()
        self._start(name, "--address", f"127.0.0.1:{self._gcs}", "--num-cpus", cpus)
        _until(lambda: bool(self._alive() - before), f"{name} does not join the Ray cluster", self._log(name))

    def node_of(self, process: psutil.Process) -> str:
        """The name of the node that a process belongs to."""
        parents = {parent.pid for parent in process.parents()}
        (name,) = (name for name, node in self._nodes.items() if node.pid in parents)
        return name

    def kill(self, name: str) -> None:
        """Kill all processes of a node at once, those of the runs on it too, as when a machine loses its power."""
        node = self._nodes.pop(name)
        family = [] if node.poll() is not None else self._family(node)
        for stop in (psutil.Process.suspend, psutil.Process.kill):  # so that none reacts to the end of another
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    stop(process)
        node.wait()

    def kill_raylet(self, name: str) -> None:
        """Kill the process by which a node belongs to the cluster, and leave it to Ray to end the others."""
        for process in self._family(self._nodes[name]):
            if process.name() == "raylet":
                process.kill()
        self._nodes.pop(name).wait()

    @staticmethod
    def _family(node: "subprocess.Popen[bytes]") -> list[psutil.Process]:
        first = psutil.Process(node.pid)
        return [first, *first.children(recursive=True)]

    def kill_all(self) -> None:
        for name in list(self._nodes):
            self.kill(name)

    def _start(self, name: str, *arguments: object) -> None:
        command = [RAY, "start", "--block", *arguments]
        command += ["--object-store-memory", OBJECT_STORE_BYTES, "--dashboard-agent-listen-port", free_port()]
        command += ["--disable-usage-stats"] if name == "head" else []
        with self._log(name).open("wb") as log:
            self._nodes[name] = subprocess.Popen(
                list(map(str, command)), env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _alive(self) -> set[str]:
        """The ids of the nodes that the head takes for alive; none while it does not answer."""
        try:
            answer = requests.get(f"{self.address}/nodes?view=summary", timeout=30)
        except requests.ConnectionError:
            return set()
        nodes = answer.json()["data"]["summary"] if answer.ok else []
        return {node["raylet"]["nodeId"] for node in nodes if node["raylet"].get("state") == "ALIVE"}


@contextmanager
def ray_nodes(workers: int = 2) -> Iterator[RayNodes]:
    """A head and workers in a temporary folder, with the environment of this process; killed when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="ray_"))  # a socket's path must be short
    nodes = RayNodes(folder)
    try:
        nodes.start_head()
        for number in range(workers):
            nodes.start_worker(f"worker {number}")
        yield nodes
    finally:
        nodes.kill_all()
        shutil.rmtree(folder, ignore_errors=True)  # what Ray ends by itself may still write


def _until(is_so: Callable[[], bool], otherwise: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, f"{otherwise}:\n{log.read_text()}"
        time.sleep(0.3)
