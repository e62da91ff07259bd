"""Clocks, fresh processes and figures."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

CHECKOUT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Figure:
    """A line of the report. note: what was asked for, or what to compare with."""

    what: str
    value: float
    unit: str
    note: str = ""

    def __str__(self) -> str:
        digits = 0 if self.value >= 1000 else 1 if self.value >= 10 else 3
        line = f"{self.what:62}{self.value:>16,.{digits}f} {self.unit}"
        return f"{line:96} {self.note}".rstrip()


def seconds(function: Callable[[], object], times: int = 1) -> float:
    """Wall time of a call, the shortest of several."""
    return min(_once(function) for _ in range(times))


def _once(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def peak_mib(pid: int | str = "self") -> float:
    """The most memory that a process has held so far, 0 if it is gone. Linux only.

    Not from getrusage, whose figure starts with the memory of the process that started this one.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def in_fresh_process(
    function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """The result of a call in a process of its own, which has imported nothing and computed nothing yet."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def environment(home: Path) -> dict[str, str]:
    """The environment of a process that uses a DAGSTER_HOME and this checkout."""
    return {**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(CHECKOUT)}


def command(arguments: Sequence[str], folder: Path, home: Path) -> tuple[float, float]:
    """Seconds from command to exit, and peak MiB, of a Python module run in a folder with a DAGSTER_HOME.

    Raises RuntimeError with the command's output if it fails.
    """
    log = folder / "command.log"
    started = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=folder,
            env=environment(home),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, peak_mib(process.pid))
            time.sleep(0.01)
    elapsed = time.perf_counter() - started
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}: {log.read_text()[-2000:]}")
    return elapsed, peak
