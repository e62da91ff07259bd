"""`python -m my_desk`: everything once, as one would type it."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd

from feature_backfill.dagster import partition_key
from my_desk.market import FIRST_HOUR, HOURS, TABLE, make_market

FOLDER = Path(__file__).parents[1]
LAST = FIRST_HOUR + pd.Timedelta(hours=HOURS - 1)
FIRST = LAST - pd.Timedelta(hours=21)


def main() -> None:
    """Make a market, try the features on it, compute 22 hours of rows, and predict from them."""
    os.environ.pop("DAGSTER_HOME", None)  # feature-backfill then makes one in the working folder
    os.environ["FEATURE_BACKFILL_CONFIGS"] = str(FOLDER / "configs")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER), os.environ.get("PYTHONPATH", "")])
    database = FOLDER / "data" / "ohlcv.duckdb"
    make_market(database)
    _call("feature_backfill", "check-features", "my_desk.features", "--duckdb", str(database), "--table", TABLE)
    _call("feature_backfill", "run", "--feature-key", "desk", "--start", str(FIRST), "--end", str(LAST))
    span = f"{partition_key(FIRST)}...{partition_key(LAST)}"
    predict = ("asset", "materialize", "-m", "my_desk.merged", "--select", "btcusdt/predictions")
    os.environ["DAGSTER_HOME"] = str(FOLDER / ".dagster_home")
    quiet = json.dumps({"loggers": {"console": {"config": {"log_level": "ERROR"}}}})
    _call("dagster", *predict, "--partition-range", span, "--config-json", quiet)
    with duckdb.connect(FOLDER / "data" / "predictions.duckdb", read_only=True) as connection:
        print(connection.sql("SELECT ts, round(up, 3) AS up FROM predictions ORDER BY ts DESC LIMIT 5"))


def _call(module: str, *arguments: str) -> None:
    """Show a command, and run it; end where it fails."""
    print(f"\n$ {module.replace('_', '-')} {shlex.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=FOLDER, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
