"""The API of an exchange, through ccxt: its time, and pages of closed hourly candles."""

import json
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pandas as pd
import requests

from feature_backfill.config import ExchangeSource
from feature_backfill.errors import RunError, UserError
from feature_backfill.hours import HOUR, utc_now
from feature_backfill.sources.retrying import Passing, patiently, seconds_to_wait
from feature_backfill.store.ohlcv import OHLCV_COLUMNS

SMALLEST_PAGE = 100
MOST_AHEAD_S = 30 * 60
"""An exchange's time may be ahead of the clock by so much; more is a mistake of one of the two."""

"""Hours of a page where ccxt does not know the exchange's limit: a guess on the low side."""

MAY_PASS = {403, 408, 418, 425, 429}
"""Of the HTTP statuses 400 to 499, those that say: not now. A firewall answers 403 to what comes too often."""

Result = TypeVar("Result")


class ExchangeApi:
    """One market of one exchange.

    market: what ccxt knows about it. page_hours: the most candles that one request gets.
    """

    def __init__(self, source: ExchangeSource) -> None:
        """Load the exchange's markets.

        Raises UserError if ccxt is not installed or knows no such exchange, or the exchange has no hourly candles or
        no such symbol, or does not serve this location; RunError if it cannot be reached.
        """
        self._name = f"{source.exchange} {source.symbol}"
        self._ccxt = loaded_ccxt()
        self._exchange = self._opened(source)
        self._ask("the list of markets", self._exchange.load_markets)
        if source.symbol not in self._exchange.markets:
            raise UserError(
                f"{source.exchange} has no symbol {source.symbol}{_closest(source.symbol, self._exchange.symbols)}"
            )
        self.market: dict[str, Any] = self._exchange.market(source.symbol)
        self.page_hours = _page_limit(self._exchange.features or {}, self.market)

    def now(self) -> pd.Timestamp:
        """The exchange's time, UTC-naive; the clock's if it does not tell its time.

        Raises RunError if it is so far ahead of the clock that hours would count as closed which are not.
        """
        if not self._exchange.has["fetchTime"]:
            return utc_now().as_unit("us")
        milliseconds = self._ask("the time", lambda: int(self._exchange.fetch_time()))
        ahead = milliseconds / 1000 - utc_now().timestamp()
        if ahead > MOST_AHEAD_S:
            raise RunError(
                f"{self._name}: the time of the exchange is {ahead / 60:,.0f} minutes ahead of this machine's; set the "
                "clock, or wait until the exchange tells the right time: an open candle would count as closed"
            )
        return pd.Timestamp(milliseconds, unit="ms").as_unit("us")

    def page(self, first: pd.Timestamp, last: pd.Timestamp, closed: pd.Timestamp) -> pd.DataFrame:
        """The candles from `first` on that one request gets, which is made for those up to `last`.

        An exchange without candles there may answer with later ones. closed: the last hour that has closed by the
        exchange's time. What is later is left out, because ccxt's candles do not say whether they are closed.

        Returns rows x (timestamp, open, high, low, close, volume), in order of time; float64, NaN where the exchange
        gives no number.
        """
        # One more than wanted: exchanges differ in whether the open candle counts.
        limit = min(self.page_hours, (last - first) // HOUR + 2)
        since = int(first.timestamp() * 1000)
        symbol = self.market["symbol"]
        rows = self._ask(
            f"candles from {first:%Y-%m-%d %H:%M} on",
            lambda: _as_frame(self._exchange.fetch_ohlcv(symbol, "1h", since=since, limit=limit)),
        )
        return rows[rows["timestamp"].between(first, closed)].sort_values("timestamp", ignore_index=True)

    def _opened(self, source: ExchangeSource) -> Any:
        if source.exchange not in self._ccxt.exchanges:
            raise UserError(
                f"ccxt knows no exchange {source.exchange}{_closest(source.exchange, self._ccxt.exchanges)}"
            )
        exchange = _strict(getattr(self._ccxt, source.exchange))({"enableRateLimit": True, "requests_trust_env": True})
        if not exchange.has["fetchOHLCV"] or "1h" not in (exchange.timeframes or {}):
            raise UserError(f"{source.exchange} has no hourly candles in ccxt; name another exchange")
        if source.api is not None:
            exchange.urls["api"] = _elsewhere(exchange.urls["api"], source.api.rstrip("/"))
        return exchange

    def _ask(self, what: str, call: Callable[[], Result]) -> Result:
        return patiently(f"{self._name}, {what}", call, self._judged)

    def _judged(self, error: Exception) -> Passing:
        """What a failure is. Raises UserError or RunError if it is not worth asking again."""
        response = _response(error)
        reason = " ".join(str(error).split())[:300]
        if response is None:
            refusals = (self._ccxt.BadRequest, self._ccxt.AuthenticationError, self._ccxt.NotSupported)
            if isinstance(error, refusals):
                raise UserError(f"{self._name}: the exchange refuses: {reason}; correct the source") from error
            if isinstance(error, self._ccxt.RequestTimeout):
                return Passing("no answer in time")
            known = isinstance(error, self._ccxt.NetworkError)
            return Passing(f"no connection ({reason})" if known else f"an answer that cannot be read ({reason})")
        status = response.status_code
        if status == 451:
            raise UserError(
                f"{self._name}: the exchange does not serve this location (HTTP 451); name another exchange, or an "
                "address that may be used from here with `api`"
            ) from error
        if 400 <= status < 500 and status not in MAY_PASS:
            raise UserError(f"{self._name}: refused with HTTP {status}; correct symbol or `api`: {reason}") from error
        return Passing(f"HTTP {status}", seconds_to_wait(response.headers.get("Retry-After")))


def loaded_ccxt() -> Any:
    """The package ccxt. Raises UserError, which says how to install it, if it is not there."""
    try:
        import ccxt
    except ImportError as error:
        raise UserError(
            "a source that is an exchange needs ccxt: install it with pip install 'feature-backfill[exchange]'"
        ) from error
    return ccxt


def _strict(exchange: Any) -> Any:
    """An exchange of ccxt for which an answer that is not JSON is a failure.

    ccxt itself takes the page of a gateway for an empty list of candles.
    """

    class Strict(exchange):  # type: ignore[misc]
        def on_rest_response(self, code: int, reason: str, url: str, method: str, *rest: Any) -> Any:
            body = super().on_rest_response(code, reason, url, method, *rest)
            if code < 400:
                try:
                    json.loads(body)
                except ValueError as error:
                    raise requests.ConnectionError(f"{url} answers with something else than JSON") from error
            return body

    return Strict


def _page_limit(features: dict[str, Any], market: dict[str, Any]) -> int:
    """The most candles that a request gets, as ccxt knows it."""
    held = features.get(market["type"]) or {}
    if market["contract"]:
        held = held.get(market["subType"]) or {}
    return int((held.get("fetchOHLCV") or {}).get("limit") or SMALLEST_PAGE)


def _elsewhere(address: Any, base: str) -> Any:
    """The addresses of an exchange's API, each with another scheme and host."""
    if isinstance(address, dict):
        return {name: _elsewhere(nested, base) for name, nested in address.items()}
    return base + urlsplit(address).path if isinstance(address, str) else address


def _as_frame(candles: Any) -> pd.DataFrame:
    """ccxt's candles as rows. Raises ValueError if they are none."""
    if not isinstance(candles, list) or not all(isinstance(candle, list) for candle in candles):
        raise ValueError("no list of candles")
    rows = pd.DataFrame([candle[: len(OHLCV_COLUMNS)] for candle in candles], columns=list(OHLCV_COLUMNS))
    rows = rows.astype(dict.fromkeys(OHLCV_COLUMNS[1:], "float64"))
    rows["timestamp"] = pd.to_datetime(rows["timestamp"], unit="ms").astype("datetime64[us]")
    return rows


def _response(error: BaseException | None) -> Any:
    """The HTTP response that an error of ccxt goes back to; None if there was none."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return response
        error = error.__cause__ or error.__context__
    return None


def _closest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=3)
    return f" (closest: {', '.join(close)})" if close else ""
