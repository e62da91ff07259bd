"""What Dagster's event log costs per hour and asset, written in batches and Dagster's own way."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.empty_run import ASSETS, run
from benchmarks.folders import dagster_home
from benchmarks.measure import Figure, in_fresh_process, seconds


def ms_per_hour_and_asset(hours: int, shipped: bool) -> float:
    """Milliseconds for each hour of each asset, start and end of the run not counted."""
    with TemporaryDirectory() as folder:
        os.environ["DAGSTER_HOME"] = str(dagster_home(Path(folder), shipped))
        run(1)
        empty = seconds(lambda: run(1), 3)
        return 1000 * (seconds(lambda: run(hours)) - empty) / (hours - 1) / len(ASSETS)


def figures(hours: int) -> Iterator[Figure]:
    """Ours on a quarter of the hours against Dagster's on a hundredth."""
    many, few = max(hours // 4, 10), max(hours // 100, 10)
    ours = in_fresh_process(ms_per_hour_and_asset, many, shipped=True)
    yield Figure(f"event log in batches, {many:,} hours, a tenth skipped", ours, "ms/hour/asset", "0.4 or less")
    theirs = in_fresh_process(ms_per_hour_and_asset, few, shipped=False)
    yield Figure(f"Dagster's own event log, {few:,} hours, a tenth skipped", theirs, "ms/hour/asset")
