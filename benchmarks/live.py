"""From the moment that a simulated exchange serves a closed hour to the row of its features being readable."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import yaml

from benchmarks.folders import dagster_home
from benchmarks.measure import Figure, environment
from benchmarks.waiting import readable_at
from feature_backfill.automation.fetching import fetch_config, fetch_job_name
from feature_backfill.config import Market, market_from
from feature_backfill.hours import HOUR, last_closed_hour
from feature_backfill.sources.simulated.binance import binance
from feature_backfill.sources.simulated.market import ExchangeClock, SimulatedMarket
from feature_backfill.sources.simulated.server import SimulatedExchange
from feature_backfill.sources.synthetic import synthetic_ohlcv

HISTORY = 800
"""Hours of each market: more than a lookback."""

SERVED = 2
LOOK_EVERY_S = 0.05
GIVEN_UP_S = 600.0
LEAD_S = 120.0
"""So long before an hour closes its runs are started, as the schedule does."""


def figures(hours: int) -> Iterator[Figure]:
    """One market, then ten; the number of hours that others measure does not matter."""
    for count in (1, 10):
        yield from served_hours(count)


def served_hours(count: int) -> Iterator[Figure]:
    """Let an exchange serve some hours to a number of markets; when the first and the last of them had its row."""
    filled = last_closed_hour() - SERVED * HOUR
    clock = ExchangeClock(filled + HOUR)
    served = SimulatedMarket(synthetic_ohlcv(filled - (HISTORY - 1) * HOUR, HISTORY + 24), clock)
    with TemporaryDirectory() as name, SimulatedExchange(binance(served)).serving() as exchange:
        folder = Path(name)
        home = dagster_home(folder)
        markets = [_market(folder, f"m{number}", exchange.url, filled) for number in range(count)]
        _finished([_fetch(folder, home, markets[0], None)])  # Dagster's records are made by one process
        _finished([_fetch(folder, home, market, None) for market in markets[1:]])
        for hour in pd.date_range(filled + HOUR, periods=SERVED, freq="h"):
            clock.set(hour + HOUR - pd.Timedelta(seconds=LEAD_S))
            closes = time.monotonic() + LEAD_S
            runs = [_fetch(folder, home, market, hour) for market in markets]
            late = [moment - closes for moment in readable_at(markets, hour, 1, LOOK_EVERY_S, GIVEN_UP_S)]
            _finished(runs)
            yield Figure(f"features of a closed hour, {count} markets, the first", late[0], "s")
            yield Figure(f"features of a closed hour, {count} markets, the last", late[-1], "s")


def _market(folder: Path, name: str, api: str, filled: pd.Timestamp) -> Market:
    source = {"database": f"../{name}.duckdb", "table": "ohlcv", "exchange": "binanceusdm", "symbol": "BTC/USDT:USDT"}
    fields = {
        "name": name,
        "first_hour": f"{filled - (HISTORY - 1) * HOUR}",
        "source": {**source, "api": api, "archive": "none"},
        "target_database": f"../{name}_features.duckdb",
        "feature_sets": [{"key": "all"}],
    }
    configs = folder / "configs"
    configs.mkdir(exist_ok=True)
    (configs / f"{name}.yaml").write_text(yaml.safe_dump(fields))
    return market_from(fields, configs, "benchmark")


def _fetch(folder: Path, home: Path, market: Market, awaited: pd.Timestamp | None) -> "subprocess.Popen[bytes]":
    """A run in a process of its own."""
    config = folder / f"{market.name}.config.yaml"
    config.write_text(yaml.safe_dump({} if awaited is None else fetch_config(market, awaited)))
    arguments = ["-m", "feature_backfill.definitions", "-j", fetch_job_name(market), "--config", str(config)]
    command = [sys.executable, "-m", "dagster", "job", "execute", *arguments]
    log = (folder / f"{market.name}.log").open("ab")
    return subprocess.Popen(command, cwd=folder, env=environment(home), stdout=log, stderr=log)


def _finished(runs: "Sequence[subprocess.Popen[bytes]]") -> None:
    if any([run.wait() for run in runs]):
        raise RuntimeError("a run failed")
