"""What commands find on disk: a configured market, a DAGSTER_HOME."""

import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pandas as pd

from benchmarks.market import BASE_HOURS, FIRST_HOUR, ohlcv_and_targets
from feature_backfill.commands.shared.instance import shipped_config
from feature_backfill_tests.markets import put_ohlcv

NAME = "bench"
TABLE = "ohlcv"
"""The OHLCV table of each of many markets."""

FEATURE_KEYS = ("first", "second")


def market_folder(folder: Path, hours: int) -> pd.DatetimeIndex:
    """Fill a folder with configs/ and an OHLCV database; returns the hours that can be computed."""
    ohlcv, targets = ohlcv_and_targets(hours)
    with duckdb.connect(folder / "ohlcv.duckdb") as connection:
        connection.register("rows", ohlcv)
        connection.execute("CREATE TABLE ohlcv_bench_1h AS FROM rows")
    market = {
        "name": NAME,
        "first_hour": FIRST_HOUR.isoformat(),
        "source": {"database": "../ohlcv.duckdb", "table": "ohlcv_bench_1h"},
        "target_database": "../features.duckdb",
        "feature_sets": [{"key": key, "base_hours": BASE_HOURS} for key in FEATURE_KEYS],
    }
    configs = folder / "configs"
    configs.mkdir()
    (configs / f"{NAME}.yaml").write_text(json.dumps(market))
    return targets


def configure_market(folder: Path, name: str, ohlcv: pd.DataFrame, sets: Sequence[str], **target: object) -> None:
    """A market with OHLCV in a database of its own, and its YAML in configs/, which is created.

    sets: ends of the feature keys. target: the field of the YAML that says where the rows go.
    """
    put_ohlcv(folder / f"{name}.duckdb", ohlcv, TABLE)
    fields = {
        "name": name,
        "first_hour": ohlcv["timestamp"].iloc[0].isoformat(),
        "source": {"database": f"../{name}.duckdb", "table": TABLE},
        "feature_sets": [{"key": f"{name}_{key}"} for key in sets],
        **target,
    }
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "configs" / f"{name}.yaml").write_text(json.dumps(fields))


def dagster_home(folder: Path, shipped: bool = True) -> Path:
    """A DAGSTER_HOME with the dagster.yaml that the project ships, or with Dagster's defaults."""
    home = folder / ("home" if shipped else "default_home")
    home.mkdir()
    text = shipped_config("dagster.yaml").read_text() if shipped else "telemetry:\n  enabled: false\n"
    (home / "dagster.yaml").write_text(text)
    return home
