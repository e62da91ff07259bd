"""A simulated exchange and a market whose source it is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from feature_backfill.config import Market, market_from
from feature_backfill.sources.registry import bring
from feature_backfill.sources.simulated.binance import Archived, binance
from feature_backfill.sources.simulated.market import ExchangeClock, SimulatedMarket
from feature_backfill.sources.simulated.server import SimulatedExchange
from feature_backfill.sources.source import Brought
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill.store.database import connect
from feature_backfill.store.fetched import absent_hours, restated_rows
from feature_backfill.store.ohlcv import read_ohlcv
from feature_backfill_tests.exchange.faults import Faults
from feature_backfill_tests.exchange.okx import okx

FIRST = pd.Timestamp("2024-12-01")
NOW = pd.Timestamp("2025-01-04 05:20")
TABLE = "ohlcv_btcusdt_1h"
PERPETUAL = {"exchange": "binanceusdm", "symbol": "BTC/USDT:USDT"}
SPOT = {"exchange": "binance", "symbol": "BTC/USDT"}
OKX = {"exchange": "okx", "symbol": "BTC/USDT"}
SHORT = {"key": "short", "base_hours": 48, "timeframes": ["1H", "4H"]}
OKX_SWAP = {"exchange": "okx", "symbol": "BTC/USDT:USDT"}


class Scene:
    """The exchange's side and ours. faults: those that are switched on."""

    def __init__(self, folder: Path, exchange: SimulatedExchange, served: SimulatedMarket, faults: Faults) -> None:
        self.folder, self.exchange, self.served, self.faults = folder, exchange, served, faults

    def market(
        self, first: pd.Timestamp = FIRST, feature_sets: Sequence[object] = (SHORT,), **source: object
    ) -> Market:
        """A market that is fetched from the exchange, without its archive unless `archive` says so."""
        where = {"database": "ohlcv.duckdb", "table": TABLE, "api": self.exchange.url, "archive": "none"}
        fields = {
            "name": "btc",
            "first_hour": first,
            "source": {**where, **PERPETUAL, **source},
            "target_database": "features.duckdb",
            "feature_sets": list(feature_sets),
        }
        return market_from(fields, self.folder, "test")

    def fetch(
        self,
        first: pd.Timestamp = FIRST,
        since: pd.Timestamp | None = None,
        awaited: pd.Timestamp | None = None,
        **source: object,
    ) -> Brought:
        return bring(self.market(first, **source), since, awaited)

    def later(self, **time: float) -> None:
        """Advance the exchange's clock."""
        self.served.clock.set(self.served.clock.now() + pd.Timedelta(**time))

    def stored(self) -> pd.DataFrame:
        with self.opened() as connection:
            return read_ohlcv(connection, TABLE)

    def restated(self) -> pd.DataFrame:
        with self.opened() as connection:
            return restated_rows(connection, TABLE)

    def absent(self) -> pd.DataFrame:
        with self.opened() as connection:
            return absent_hours(connection, TABLE)

    @contextmanager
    def opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with connect(self.folder / "ohlcv.duckdb", read_only=True) as connection:
            yield connection

    def assert_table_is_what_the_exchange_holds(self, first: pd.Timestamp = FIRST) -> None:
        held = self.served.closed()
        held = held[held["timestamp"] >= first].reset_index(drop=True)
        pd.testing.assert_frame_equal(self.stored(), held.astype({"timestamp": "datetime64[us]"}), check_exact=True)

    def klines_asked(self) -> int:
        """How many pages of candles were asked for so far."""
        return len(self.exchange.asked("v1/klines") + self.exchange.asked("v3/klines") + self.exchange.asked("candles"))

    def heaviest_second(self, since: float = 0.0) -> float:
        """The most that the requests of any second weigh. since: seconds of time.monotonic()."""
        log = sorted((request.at, answer.weight) for request, answer in self.exchange.log if request.at >= since)
        at, weights = np.array(log).T
        total = np.concatenate([[0.0], np.cumsum(weights)])
        return float(np.max(total[np.searchsorted(at, at + 1)] - total[:-1]))


@contextmanager
def served_scene(
    folder: Path,
    first: pd.Timestamp = FIRST,
    now: pd.Timestamp = NOW,
    hours: int = 2000,
    archived: Archived = lambda name, candles: candles,
) -> Iterator[Scene]:
    """An exchange that speaks as Binance and as OKX, with a market of some hours, until the block ends."""
    served = SimulatedMarket(synthetic_ohlcv(first, hours, seed=9), ExchangeClock(now))
    faults = Faults()
    with SimulatedExchange([*binance(served, archived), *okx(served)], faults).serving() as exchange:
        yield Scene(folder, exchange, served, faults)
