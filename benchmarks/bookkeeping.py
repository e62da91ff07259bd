"""What Dagster's event log costs, written and read in bulk and in Dagster's own ways."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from benchmarks.empty_run import ASSETS, HOURLY, UNREPORTED_BARS, run
from benchmarks.folders import dagster_home
from benchmarks.measure import Figure, in_fresh_process, seconds
from feature_backfill.dagster_internals.partition_status import newest_materializations
from feature_backfill.dagster_internals.reports import EventOfHours, report_runless

OHLCV = dg.AssetKey("ohlcv")


def ms_per_hour_and_asset(hours: int, shipped: bool, reporting: bool = True) -> float:
    """Milliseconds for each hour of each asset, start and end of the run not counted.

    shipped: with the shipped event log, else with Dagster's; reporting: the assets report their hours themselves.
    """
    assets = ASSETS if reporting else UNREPORTED_BARS
    with TemporaryDirectory() as folder:
        os.environ["DAGSTER_HOME"] = str(dagster_home(Path(folder), shipped))
        run(1, assets)
        empty = seconds(lambda: run(1, assets), 3)
        return 1000 * (seconds(lambda: run(hours, assets)) - empty) / (hours - 1) / len(assets)


def mb_of_home(hours: int) -> float:
    """Megabytes of DAGSTER_HOME for each asset, after a run in which everything is planned and reported."""
    with TemporaryDirectory() as folder:
        home = dagster_home(Path(folder))
        os.environ["DAGSTER_HOME"] = str(home)
        run(hours)
        return sum(file.stat().st_size for file in home.rglob("*") if file.is_file()) / 1e6 / len(ASSETS)


def ms_to_ask(hours: int, in_bulk: bool) -> float:
    """Milliseconds to learn which hours of an asset are materialized, by the private query or by Dagster's API."""
    keys = HOURLY.get_partition_keys()[:hours]
    with TemporaryDirectory() as folder:
        os.environ["DAGSTER_HOME"] = str(dagster_home(Path(folder)))
        with dg.DagsterInstance.get() as instance:
            report_runless(instance, [EventOfHours(dg.AssetMaterialization(OHLCV), keys)])
            if in_bulk:
                return 1000 * seconds(lambda: newest_materializations(instance, OHLCV), 3)
            return 1000 * seconds(lambda: instance.get_status_by_partition(OHLCV, keys, HOURLY), 3)


def figures(hours: int) -> Iterator[Figure]:
    """Ours on a quarter of the hours, Dagster's on fewer; what is asked is asked of all."""
    many, some, few = max(hours // 4, 10), max(hours // 20, 10), max(hours // 100, 10)
    ours = in_fresh_process(ms_per_hour_and_asset, many, shipped=True)
    yield Figure(f"event log in batches, {many:,} hours, a tenth skipped", ours, "ms/hour/asset", "0.4 or less")
    plain = in_fresh_process(ms_per_hour_and_asset, some, shipped=True, reporting=False)
    yield Figure(f"  the same, a MaterializeResult for {some:,} hours", plain, "ms/hour/asset")
    size = in_fresh_process(mb_of_home, hours)
    yield Figure(f"DAGSTER_HOME after a run over {hours:,} hours", size, "MB/asset", "60 or less")
    theirs = in_fresh_process(ms_per_hour_and_asset, few, shipped=False)
    yield Figure(f"Dagster's own event log, {few:,} hours, a tenth skipped", theirs, "ms/hour/asset")
    yield Figure(f"which of {hours:,} hours are materialized", in_fresh_process(ms_to_ask, hours, in_bulk=True), "ms")
    asked = in_fresh_process(ms_to_ask, hours, in_bulk=False)
    yield Figure("  the same from get_status_by_partition, cached", asked, "ms")
