"""30 and 200 markets of two feature sets with `dagster dev`: loading, idling, and the wave of an hour."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import psutil

from benchmarks.folders import TABLE, configure_market, dagster_home
from benchmarks.measure import Figure, environment
from benchmarks.waiting import readable_at
from feature_backfill.config import Market, read_markets
from feature_backfill.hours import HOUR, last_closed_hour
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.markets import put_ohlcv

COUNTS = (30, 200)
HISTORY = 2000
SETS = ("first", "second")
IDLE_S = 120
LOOK_EVERY_S = 0.2
GIVEN_UP_S = 1800.0
LOCATION = ["-m", "feature_backfill.definitions"]


def figures(hours: int) -> Iterator[Figure]:
    """The whole of HISTORY, or of the hours asked for if those are fewer."""
    for count in COUNTS:
        yield from of_markets(count, max(min(hours, HISTORY), 800))


def of_markets(count: int, history: int) -> Iterator[Figure]:
    """The figures of a number of markets that each have a history of OHLCV."""
    newest = last_closed_hour() - HOUR
    ohlcv = synthetic_ohlcv(newest - (history - 1) * HOUR, history + 1)
    with TemporaryDirectory() as name:
        folder = Path(name)
        home = dagster_home(folder)
        markets = _configured(folder, count, ohlcv[ohlcv["timestamp"] <= newest])
        what = f"{count} markets of {len(SETS)} feature sets"
        wall, cpu = _validate(folder, home)
        yield Figure(f"{what}: dagster definitions validate", wall, "s", "10 for 200")
        yield Figure("  the same, CPU of all processes", cpu, "s")
        with _dagster_dev(folder, home) as (dev, ready):
            yield Figure("  dagster dev is ready", ready, "s", "25 for 200")
            _rows(markets, newest)
            time.sleep(IDLE_S / 2)  # the sensors settle
            before = _cpu_seconds(dev)
            time.sleep(IDLE_S)
            yield Figure("  idle, of one core", 100 * (_cpu_seconds(dev) - before) / IDLE_S, "%", "8 for 200")
            size, before = _bytes(home), _cpu_seconds(dev)
            for market in markets:
                put_ohlcv(market.source.database, ohlcv, TABLE)
            moments = _rows(markets, newest + HOUR)
            yield Figure("  the rows of an hour are there, median", moments[len(moments) // 2], "s")
            yield Figure("  the same, the last", moments[-1], "s", "60 for 200")
            yield Figure("  the same, CPU of all processes", _cpu_seconds(dev) - before, "s")
            yield Figure("  memory of all processes", _mib(dev), "MiB", "under 1,500")
            grown = (_bytes(home) - size) / len(markets) / len(SETS)
            yield Figure("  DAGSTER_HOME grows for each feature hour", grown / 1000, "KB", "12 or less")


def _configured(folder: Path, count: int, ohlcv: pd.DataFrame) -> list[Market]:
    for name in (f"m{number:03}" for number in range(count)):
        configure_market(folder, name, ohlcv, SETS, target_database=f"../{name}_features.duckdb")
    return list(read_markets(folder / "configs").valid)


def _validate(folder: Path, home: Path) -> tuple[float, float]:
    """Seconds from command to exit, and CPU seconds of the command and of the server that it starts."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "dagster", "definitions", "validate", *LOCATION]
    before = psutil.Process().cpu_times()
    subprocess.run(command, cwd=folder, env=environment(home), check=True, capture_output=True)
    after = psutil.Process().cpu_times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - started, spent


@contextmanager
def _dagster_dev(folder: Path, home: Path) -> Iterator[tuple[psutil.Process, float]]:
    """`dagster dev`, ended with the block, and how many seconds it took until its UI answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.perf_counter()
    with (folder / "dev.log").open("w") as log:
        command = [sys.executable, "-m", "dagster", "dev", *LOCATION, "-p", str(port)]
        dev = psutil.Popen(command, cwd=folder, env=environment(home), stdout=log, stderr=log)
    try:
        while not _answers(port):
            if dev.poll() is not None:
                raise RuntimeError((folder / "dev.log").read_text()[-2000:])
            time.sleep(0.2)
        yield psutil.Process(dev.pid), time.perf_counter() - started
    finally:
        everyone = [*dev.children(recursive=True), dev]
        for process in everyone:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(everyone, timeout=30)[1]:
            process.kill()


def _answers(port: int) -> bool:
    query = json.dumps({"query": "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", query, {"Content-Type": "application/json"})
    with suppress(OSError), urllib.request.urlopen(request, timeout=60) as answer:
        return bool(json.load(answer)["data"]["repositoriesOrError"]["nodes"])
    return False


def _rows(markets: Sequence[Market], hour: pd.Timestamp) -> list[float]:
    """How many seconds from now each market has the rows of an hour, ascending."""
    started = time.monotonic()
    return [moment - started for moment in readable_at(markets, hour, len(SETS), LOOK_EVERY_S, GIVEN_UP_S)]


def _cpu_seconds(dev: psutil.Process) -> float:
    """CPU of a process and of all that it started, also of those that have ended."""
    total = 0.0
    for process in [dev, *dev.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def _mib(dev: psutil.Process) -> float:
    """Memory of a process and of all that it started, what they share counted once."""
    total = 0
    for process in [dev, *dev.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_full_info().pss
    return total / 2**20


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
