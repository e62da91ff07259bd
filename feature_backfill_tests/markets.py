"""A small synthetic market on disk: 20 days of hours with a gap, and a feature set with a short lookback."""

from pathlib import Path

import pandas as pd
import yaml

from feature_backfill.config import Lake, Market, market_from
from feature_backfill.sources.synthetic import drop_hours, synthetic_ohlcv
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import read_ohlcv
from feature_backfill.store.schema import has_table
from feature_backfill.store.sql import quoted
from feature_backfill.store.targets import exists

FIRST = pd.Timestamp("2025-01-01")
HOURS = 480
LAST = FIRST + pd.Timedelta(hours=HOURS - 1)
GAP = pd.Timestamp("2025-01-11 05:00")
TABLE = "ohlcv_small_1h"

# How the command line describes the market in its folder. It is then named after its table.
WHERE = ("--duckdb", "ohlcv.duckdb", "--feat-duckdb", "features.duckdb", "--table", TABLE)
LOOKBACK = ("--base-hours", "48", "--timeframes", "1H", "4H")


def small_market(folder: Path, hours: int = HOURS, **changes: object) -> Market:
    """The market's source is filled if it does not exist; its target database is not created."""
    source = folder / "ohlcv.duckdb"
    if not source.exists():
        put_ohlcv(source, drop_hours(synthetic_ohlcv(FIRST, hours, seed=3), GAP, 1))
    fields = {
        "name": "small",
        "first_hour": FIRST,
        "source": {"database": "ohlcv.duckdb", "table": TABLE},
        **({} if "target" in changes else {"target_database": "features.duckdb"}),
        "feature_sets": [{"key": "short", "base_hours": 48, "timeframes": ["1H", "4H"]}],
        **changes,
    }
    return market_from(fields, folder, "test")


def configure(market: Market, folder: Path) -> None:
    """Write the market's YAML into a folder, which is created."""
    folder.mkdir(exist_ok=True)
    text = yaml.safe_dump(market.model_dump(mode="json", exclude_defaults=True))
    (folder / f"{market.name}.yaml").write_text(text)


def window(first: pd.Timestamp, last: pd.Timestamp) -> tuple[str, ...]:
    """The flags of a range of hours."""
    return "--start", str(first), "--end", str(last)


def put_ohlcv(database: Path, ohlcv: pd.DataFrame, table: str = TABLE) -> None:
    """Make these rows the whole table, whatever stood there."""
    with connect(database, read_only=False) as connection:
        connection.register("rows", ohlcv)
        connection.execute(f"CREATE OR REPLACE TABLE {quoted(table)} AS FROM rows")


def append_ohlcv(market: Market, first: pd.Timestamp, hours: int = 1) -> None:
    """Add rows from the hour `first` on, as the synthetic market would go on; it is 200 hours longer than the table."""
    rows = synthetic_ohlcv(FIRST, HOURS + 200, seed=3)
    rows = rows[rows["timestamp"] >= first][:hours]
    with connect(market.source.database, read_only=False) as connection:
        connection.register("rows", rows)
        connection.execute(f"INSERT INTO {TABLE} FROM rows")


def ohlcv_of(market: Market) -> pd.DataFrame:
    """The market's OHLCV rows in order of time."""
    with connect(market.source.database, read_only=True) as connection:
        return read_ohlcv(connection, market.source.table)


def stored(market: Market, key: str = "short") -> pd.DataFrame:
    """ts, features (text) and created_at of the rows under a key."""
    nothing = pd.DataFrame(columns=["ts", "features", "created_at"]).astype({"ts": "datetime64[us]"})
    if not exists(market.target):
        return nothing
    with connect(market.target, read_only=True) as connection:
        if not has_table(connection, "features"):
            return nothing
        return connection.execute(
            "SELECT ts, features, created_at FROM features WHERE feature_key = ? ORDER BY ts", [key]
        ).df()


def execute(market: Market, statement: str, *values: object) -> None:
    """Change the market's OHLCV table."""
    _execute(market.source.database, statement, values)


def execute_on_target(market: Market, statement: str, *values: object) -> None:
    """Change the market's target database behind the project's back."""
    _execute(market.target, statement, values)


def _execute(database: Path | Lake, statement: str, values: tuple[object, ...]) -> None:
    with connect(database, read_only=False) as connection:
        connection.execute(statement, list(values))
