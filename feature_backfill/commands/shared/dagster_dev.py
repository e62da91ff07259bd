"""Dagster's webserver and daemon as a child of a command: `dagster dev`, its output in a file."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from feature_backfill.config import CONFIGS_VARIABLE
from feature_backfill.errors import RunError

COMMAND = ("-m", "dagster", "dev", "-m", "feature_backfill.definitions")
PORT = 3000
STARTS_IN_S = 180.0
ENDS_IN_S = 20.0
LOOK_EVERY_S = 0.2


class DagsterDev:
    """A running `dagster dev`. log: the file that holds its output."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.url, self.log = f"http://127.0.0.1:{port}", log
        self._process = process

    def require_running(self) -> None:
        """Raise RunError if it has ended."""
        code = self._process.poll()
        if code is not None:
            raise RunError(f"dagster dev ended by itself, with exit code {code}; {self.log} says why")

    def wait_until_it_answers(self) -> None:
        """Wait for the webserver. Raises RunError if it does not answer in time, or has ended."""
        deadline = time.monotonic() + STARTS_IN_S
        while time.monotonic() < deadline:
            self.require_running()
            with suppress(requests.RequestException):
                if requests.get(f"{self.url}/server_info", timeout=5).ok:
                    return
            time.sleep(LOOK_EVERY_S)
        raise RunError(f"dagster dev did not answer on {self.url} within {STARTS_IN_S:g} s; {self.log} may say why")


@contextmanager
def dagster_dev(folder: Path, log: Path) -> Iterator[DagsterDev]:
    """Run `dagster dev` in a folder, on the markets of its configs/, until the block ends. DAGSTER_HOME must be set.

    It has a session of its own: a Ctrl-C in the terminal reaches the command alone, which then ends its child.
    """
    port = free_port()
    command = [sys.executable, *COMMAND, "-p", str(port)]
    environment = {**os.environ, CONFIGS_VARIABLE: str(folder / "configs")}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield DagsterDev(process, port, log)
    finally:
        with _uninterrupted():
            _end(process)


def free_port() -> int:
    """Dagster's usual port or, if somebody has it, another one."""
    for port in (PORT, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise RunError("no port of 127.0.0.1 is free")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt `dagster dev`, as Ctrl-C does, and after a while end what is left of it, or what it has left behind."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(ENDS_IN_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C, which somebody in a hurry may press twice, in the block."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
