"""When the rows of an hour can be read."""

import time
from collections.abc import Sequence
from contextlib import suppress

import duckdb
import pandas as pd

from feature_backfill.config import Market
from feature_backfill.errors import RunError
from feature_backfill.store.database import connect


def readable_at(
    markets: Sequence[Market], hour: pd.Timestamp, rows: int, every_s: float, given_up_s: float
) -> list[float]:
    """When so many rows of an hour could be read of each market, by time.monotonic(), ascending.

    Looks where a file has changed, every so many seconds. Raises RuntimeError after given_up_s.
    """
    started = time.monotonic()
    found: dict[str, float] = {}
    looked: dict[str, int] = {}
    while len(found) < len(markets):
        if time.monotonic() - started > given_up_s:
            raise RuntimeError(f"{len(markets) - len(found)} markets have no rows of {hour} after {given_up_s} s")
        for market in markets:
            if market.name not in found and _has_rows(market, hour, rows, looked):
                found[market.name] = time.monotonic()
        time.sleep(every_s)
    return sorted(found.values())


def _has_rows(market: Market, hour: pd.Timestamp, rows: int, looked: dict[str, int]) -> bool:
    with suppress(FileNotFoundError, duckdb.Error, RunError):
        changed = market.target_database.stat().st_mtime_ns
        if looked.get(market.name) != changed:
            with connect(market.target_database, read_only=True, patience=0) as connection:
                stored = connection.execute("SELECT count(*) FROM features WHERE ts = ?", [hour]).fetchall()
            looked[market.name] = changed
            return bool(stored[0][0] == rows)
    return False
