"""What is meant where nothing is given; a module of its own, because it waits for no import."""

from pathlib import Path

DEFAULT_TABLE = "ohlcv_btcusdt_1h"
LOCAL_HOME = Path(".dagster_home")
"""Dagster's home, in the working folder, without DAGSTER_HOME."""
