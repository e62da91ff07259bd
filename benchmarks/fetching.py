"""Fetching OHLCV from a simulated exchange in the same process: its time is in the figures, a network's is not."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.market import FIRST_HOUR
from benchmarks.measure import Figure, seconds
from feature_backfill.config import Market, market_from
from feature_backfill.hours import HOUR
from feature_backfill.sources.registry import bring
from feature_backfill.sources.simulated.binance import binance
from feature_backfill.sources.simulated.market import ExchangeClock, SimulatedMarket
from feature_backfill.sources.simulated.server import SimulatedExchange
from feature_backfill.sources.synthetic import synthetic_ohlcv


def figures(hours: int) -> Iterator[Figure]:
    """Fill a table by the API alone and by archive and API, then bring one new hour."""
    clock = ExchangeClock(FIRST_HOUR + hours * HOUR)
    served = SimulatedMarket(synthetic_ohlcv(FIRST_HOUR, hours + 10), clock)
    with SimulatedExchange(binance(served)).serving() as exchange:
        for what, archive in (("API alone", "none"), ("archive and API", exchange.url)):
            with TemporaryDirectory() as folder:
                market = _market(Path(folder), exchange.url, archive)
                asked = len(exchange.log)
                yield Figure(f"filling the table, {what}", seconds(lambda market=market: bring(market)), "s")
                yield Figure(f"filling the table, {what}", len(exchange.log) - asked, "requests")
                clock.set(clock.now() + HOUR)
                yield Figure("one new hour", seconds(lambda market=market: bring(market)), "s")


def _market(folder: Path, api: str, archive: str) -> Market:
    source = {"database": "ohlcv.duckdb", "table": "t", "exchange": "binanceusdm", "symbol": "BTC/USDT:USDT"}
    fields = {"name": "bench", "first_hour": FIRST_HOUR, "target_database": "f.duckdb", "feature_sets": []}
    return market_from({**fields, "source": {**source, "api": api, "archive": archive}}, folder, "benchmark")
