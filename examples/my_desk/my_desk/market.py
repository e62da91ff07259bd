"""A made-up market with taker buy volume, for those who have none at hand."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from feature_backfill.sources.synthetic import synthetic_ohlcv

FIRST_HOUR, HOURS = pd.Timestamp("2025-01-01"), 1100
TABLE = "ohlcv_btcusdt_1h"


def make_market(database: Path) -> None:
    """Put the market's hourly rows into a database, unless it exists."""
    if database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    ohlcv = synthetic_ohlcv(FIRST_HOUR, HOURS)
    ohlcv["taker_buy_volume"] = ohlcv["volume"] * np.random.default_rng(0).uniform(0.3, 0.7, HOURS)
    with duckdb.connect(database) as connection:
        connection.register("made", ohlcv)
        connection.execute(f"CREATE TABLE {TABLE} AS FROM made")
