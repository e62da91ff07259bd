"""Whole processes, from command to exit: start-up, every hour's state in Dagster, and the exit included."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.folders import FEATURE_KEYS, NAME, dagster_home, market_folder
from benchmarks.measure import Figure, command
from feature_backfill.hours import partition_key

TIMES = 3
"""Runs of one hour, of which the fastest counts."""


def figures(hours: int) -> Iterator[Figure]:
    """Help, the whole backfill, the same again, features alone, one hour more."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        targets = market_folder(folder, hours + TIMES)
        home = dagster_home(folder)
        first, second = FEATURE_KEYS
        start, end = targets[0], targets[hours - 1]
        backfill = ["feature_backfill.cli", "run", "--feature-key", first, "--start", str(start), "--end", str(end)]
        newest = ["feature_backfill.cli", "run", "--feature-key", first, "--mode", "last_from_features"]
        newest += ["--at-most", "1"]
        alone = ["dagster", "asset", "materialize", "-m", "feature_backfill.definitions"]
        alone += ["--select", f"key:{NAME}/features/{second}"]
        alone += ["--partition-range", f"{partition_key(start)}...{partition_key(end)}"]

        elapsed, _ = command(["feature_backfill.cli", "--help"], folder, home)
        yield Figure("feature-backfill --help", elapsed, "s", "under 0.5")
        elapsed, peak = command(backfill, folder, home)
        yield Figure(f"feature-backfill run, {hours:,} hours, bars and features", elapsed, "s", "under 45 for 20,000")
        yield Figure("  the same, peak memory", peak, "MiB")
        elapsed, _ = command(backfill, folder, home)
        yield Figure("feature-backfill run, all stored", elapsed, "s")
        elapsed, peak = command(alone, folder, home)
        yield Figure(f"dagster asset materialize, {hours:,} hours, features alone", elapsed, "s", "under 25 for 20,000")
        yield Figure("  the same, peak memory", peak, "MiB")
        hour = min(command(newest, folder, home)[0] for _ in range(TIMES))
        yield Figure("feature-backfill run, one new hour", hour, "s")
        empty = min(command(["benchmarks.empty_run"], folder, home)[0] for _ in range(TIMES))
        yield Figure("an empty Dagster run of the same shape", empty, "s")
        yield Figure("one new hour costs more by", hour - empty, "s", "0.5 or less")
