"""Rows a second into a lake and out of it, and one new hour: 440 values a row, catalog and files on this machine."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb_extension_ducklake  # noqa: F401  # says that the extra is missing before anything is measured
import pandas as pd

from benchmarks.market import ohlcv_and_targets
from benchmarks.measure import Figure, in_fresh_process, seconds
from benchmarks.storing import find_stored, write
from feature_backfill import Lake, compute_features, read_features
from feature_backfill.automation.maintenance import maintain
from feature_backfill.store.targets import newest_snapshot
from feature_backfill_tests.postgres import postgres_server

SINGLE_HOURS = 24


def store(hours: int) -> tuple[float, ...]:
    """Seconds to write, overwrite, see that all is stored, read, add an hour, look for news, maintain; MiB of files."""
    ohlcv, targets = ohlcv_and_targets(hours)
    frame = compute_features(ohlcv, targets).features
    with postgres_server() as server, TemporaryDirectory() as folder:
        lake = Lake(server.new_catalog(), folder, "bench")
        written = seconds(lambda: write(lake, frame))
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet")) / 2**20
        again = seconds(lambda: write(lake, frame + 1.0))
        found = seconds(lambda: find_stored(lake), 3)
        read = seconds(lambda: read_features(lake, "bench"), 3)
        later = [frame[-1:].set_axis(frame.index[-1:] + pd.Timedelta(hours=n)) for n in range(1, SINGLE_HOURS + 1)]
        live = sum(seconds(lambda row=row: write(lake, row)) for row in later) / SINGLE_HOURS
        look = seconds(lambda: newest_snapshot(lake), 3)
        upkeep = seconds(lambda: maintain(lake))
    return written, again, found, read, live, look, upkeep, size


def figures(hours: int) -> Iterator[Figure]:
    """Write, overwrite, rerun, read, one hour, upkeep."""
    written, again, found, read, live, look, upkeep, size = in_fresh_process(store, hours)
    yield Figure("lake, new rows", hours / written, "rows/s")
    yield Figure("lake, overwritten rows, the old ones kept", hours / again, "rows/s")
    yield Figure("lake, size of the files", size, "MiB")
    yield Figure("lake, seeing that all is stored", 1000 * found, "ms")
    yield Figure("lake, read, all columns", hours / read, "rows/s")
    yield Figure("lake, one new hour, stored", 1000 * live, "ms")
    yield Figure("lake, seeing whether something changed", 1000 * look, "ms")
    yield Figure("lake, maintenance", upkeep, "s")
