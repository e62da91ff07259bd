"""A small synthetic market on disk: 20 days of hours with a gap, and feature sets with short lookbacks."""

from pathlib import Path

import duckdb
import pandas as pd

from feature_backfill.config import Market, market_from
from feature_backfill.sources.synthetic import drop_hours, synthetic_ohlcv
from feature_backfill.store.database import connect
from feature_backfill.store.schema import has_table

FIRST = pd.Timestamp("2025-01-01")
HOURS = 480
LAST = FIRST + pd.Timedelta(hours=HOURS - 1)
GAP = pd.Timestamp("2025-01-11 05:00")
TABLE = "ohlcv_small_1h"


def small_market(folder: Path, hours: int = HOURS, **changes: object) -> Market:
    """The market's source is filled; its target database does not exist yet."""
    source = folder / "ohlcv.duckdb"
    if not source.exists():
        ohlcv = drop_hours(synthetic_ohlcv(FIRST, hours, seed=3), GAP, 1)
        with duckdb.connect(source) as connection:
            connection.register("synthetic", ohlcv)
            connection.execute(f"CREATE TABLE {TABLE} AS SELECT * FROM synthetic")
    fields = {
        "name": "small",
        "first_hour": FIRST,
        "source": {"database": "ohlcv.duckdb", "table": TABLE},
        "target_database": "features.duckdb",
        "feature_sets": [{"key": "short", "base_hours": 48, "timeframes": ["1H", "4H"]}],
        **changes,
    }
    return market_from(fields, folder, "test")


def stored(market: Market, key: str = "short") -> pd.DataFrame:
    """ts, features (text) and created_at of the rows under a key."""
    columns = ["ts", "features", "created_at"]
    if not market.target_database.exists():
        return pd.DataFrame(columns=columns)
    with connect(market.target_database, read_only=True) as connection:
        if not has_table(connection, "features"):
            return pd.DataFrame(columns=columns)
        return connection.execute(
            "SELECT ts, features, created_at FROM features WHERE feature_key = ? ORDER BY ts", [key]
        ).df()


def execute(market: Market, statement: str, *values: object) -> None:
    """Change the market's OHLCV table."""
    with connect(market.source.database, read_only=False) as connection:
        connection.execute(statement, list(values))
