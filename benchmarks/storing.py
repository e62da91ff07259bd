"""Rows a second into the features table and out of it: 440 values a row, primary key, file closed and checkpointed."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks.market import FIRST_HOUR, ohlcv_and_targets
from benchmarks.measure import Figure, in_fresh_process, peak_mib, seconds
from feature_backfill import Lake, compute_features, read_features
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table, stored_hours, write_features


def write(database: Path | Lake, frame: pd.DataFrame) -> None:
    """Store the frame, from opening the target to having closed it."""
    with connect(database, read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, "bench", frame)


def find_stored(database: Path | Lake) -> None:
    """Find out which hours a rerun need not compute."""
    with connect(database, read_only=True) as connection:
        stored_hours(connection, "bench")


def store(hours: int) -> tuple[float, float, float, float, float, float]:
    """Seconds to write, overwrite with other values, see that all is stored, and read; MiB to read and of the file."""
    ohlcv, targets = ohlcv_and_targets(hours)
    frame = compute_features(ohlcv, targets).features
    with TemporaryDirectory() as folder:
        database = Path(folder) / "features.duckdb"
        written = seconds(lambda: write(database, frame))
        size = database.stat().st_size / 2**20
        again = seconds(lambda: write(database, frame + 1.0))
        found = seconds(lambda: find_stored(database), 3)
        read = seconds(lambda: read_features(database, "bench"), 3)
        memory = in_fresh_process(peak_of_reading, database)
    return written, again, found, read, memory, size


def peak_of_writing(hours: int) -> float:
    """How far writing drives up a process's peak memory, in MiB."""
    ohlcv, targets = ohlcv_and_targets(hours)
    frame = compute_features(ohlcv, targets).features
    before = peak_mib()
    with TemporaryDirectory() as folder:
        write(Path(folder) / "features.duckdb", frame)
    return peak_mib() - before


def peak_of_reading(database: Path) -> float:
    """How far the peak memory of a process that reads exceeds what it held before and the frame it gets, in MiB."""
    read_features(database, "bench", end=FIRST_HOUR)  # loads what every call needs
    before = peak_mib()
    frame = read_features(database, "bench")
    return peak_mib() - before - frame.memory_usage().sum() / 2**20


def figures(hours: int) -> Iterator[Figure]:
    """Write, overwrite, rerun, read."""
    written, again, found, read, memory, size = in_fresh_process(store, hours)
    yield Figure("store, new rows", hours / written, "rows/s", "8,000 or more")
    yield Figure("store, overwritten rows, the old ones kept", hours / again, "rows/s")
    yield Figure("store, size of the file", size, "MiB", "60 or less")
    yield Figure("store, peak of writing", in_fresh_process(peak_of_writing, hours), "MiB")
    yield Figure("rerun, seeing that all is stored", 1000 * found, "ms")
    yield Figure("read, all columns", hours / read, "rows/s", "15,000 or more")
    yield Figure("read, peak memory over the result", memory, "MiB")
