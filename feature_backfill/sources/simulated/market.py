"""What the simulated exchange holds: one market's hourly candles, and the clock by which they close."""

import threading
import time
from dataclasses import dataclass, field

import pandas as pd

from feature_backfill.engine.bars import COLUMNS
from feature_backfill.hours import HOUR


@dataclass
class ExchangeClock:
    """The exchange's time: `start` at first, then `speed` times as fast as ours.

    start: UTC-naive. Setting `start` again sets the clock, which then goes on from there.
    """

    start: pd.Timestamp
    speed: float = 1.0
    _since: float = field(default_factory=time.monotonic)

    def now(self) -> pd.Timestamp:
        """UTC-naive, in milliseconds."""
        elapsed = (time.monotonic() - self._since) * self.speed
        return (self.start + pd.Timedelta(seconds=elapsed)).floor("ms")

    def set(self, moment: pd.Timestamp) -> None:
        """Let the clock go on from a moment."""
        self.start, self._since = moment, time.monotonic()


class SimulatedMarket:
    """The candles of one market, among them the one that is still open.

    base, quote: such as BTC and USDT. ohlcv: rows x (timestamp, open, high, low, close, volume), past and future; what
    the clock has not reached is not served.
    """

    def __init__(self, ohlcv: pd.DataFrame, clock: ExchangeClock, base: str = "BTC", quote: str = "USDT") -> None:
        self.clock, self.base, self.quote = clock, base, quote
        self._rows = ohlcv.set_index("timestamp")[list(COLUMNS)].sort_index()
        self._lock = threading.Lock()

    def candles(self, first: pd.Timestamp, last: pd.Timestamp) -> pd.DataFrame:
        """The candles with first <= timestamp <= last that have begun, index timestamp, the open one half-made."""
        now = self.clock.now()
        with self._lock:
            rows = self._rows[first : min(last, now)].copy()
        is_open = pd.Series(rows.index > now - HOUR, rows.index)
        for column in ("high", "low", "close"):
            rows[column] = rows["open"].where(is_open, rows[column])
        rows["volume"] = (
            (rows["volume"] * 0.9 * ((now - now.floor("h")) / HOUR)).round(3).where(is_open, rows["volume"])
        )
        return rows

    def closed(self) -> pd.DataFrame:
        """Every closed candle as it stands now: rows x (timestamp, open, high, low, close, volume)."""
        now = self.clock.now()
        with self._lock:
            rows = self._rows[: now.floor("h") - HOUR]
        return rows.reset_index()

    def restate(self, hour: pd.Timestamp, volume: float) -> None:
        """Give a candle another volume."""
        with self._lock:
            self._rows.loc[hour, "volume"] = volume

    def remove(self, hour: pd.Timestamp) -> pd.DataFrame:
        """Lose a candle, as in maintenance. Returns it, for `put_back`."""
        with self._lock:
            candle = self._rows[hour:hour]
            self._rows = self._rows.drop(hour)
        return candle

    def put_back(self, candle: pd.DataFrame) -> None:
        """Serve a candle that was removed."""
        with self._lock:
            self._rows = pd.concat([self._rows, candle]).sort_index()
