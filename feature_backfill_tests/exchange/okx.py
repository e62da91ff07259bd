"""The simulated exchange as OKX: other limits, other columns, the newest candle first."""

import pandas as pd

from feature_backfill.hours import HOUR
from feature_backfill.sources.simulated.market import SimulatedMarket
from feature_backfill.sources.simulated.server import Answer, Request, Route, as_json

MOST_CANDLES = 300


def okx(market: SimulatedMarket) -> list[Route]:
    """The part of the API that fetches candles of BTC/USDT and BTC/USDT:USDT."""

    def api(request: Request) -> Answer | None:
        match request.path.removeprefix("/api/v5/"):
            case "public/time":
                return answered([{"ts": str(_milliseconds(market.clock.now()))}])
            case "public/instruments":
                return answered(_instruments(market, request.query["instType"]))
            case "market/candles" | "market/history-candles":
                return _candles(market, request)
        return None

    return [api]


def answered(data: list[object], code: str = "0", message: str = "") -> Answer:
    """Data as OKX wraps it."""
    return as_json({"code": code, "msg": message, "data": data})


def _instruments(market: SimulatedMarket, kind: str) -> list[object]:
    pair = f"{market.base}-{market.quote}"
    steps = {"lotSz": "0.001", "minSz": "0.001", "tickSz": "0.1", "state": "live", "lever": "10"}
    if kind == "SPOT":
        return [{"instId": pair, "instType": kind, "baseCcy": market.base, "quoteCcy": market.quote, **steps}]
    if kind == "SWAP":
        swap = {"instId": f"{pair}-SWAP", "instType": kind, "uly": pair, "settleCcy": market.quote}
        return [{**swap, "ctVal": "0.01", "ctMult": "1", "ctType": "linear", **steps}]
    return []


def _candles(market: SimulatedMarket, request: Request) -> Answer:
    """Candles after `before` and before `after`, the newest first; contracts, then coins, then quote."""
    first = pd.Timestamp(int(request.query.get("before", -1)) + 1, unit="ms").ceil("h")
    last = pd.Timestamp(int(request.query["after"]) - 1, unit="ms") if "after" in request.query else first + 100 * HOUR
    rows = market.candles(first, last)[::-1].head(min(int(request.query.get("limit", 100)), MOST_CANDLES))
    now, is_swap = market.clock.now(), request.query["instId"].endswith("-SWAP")
    cells: list[object] = []
    for stamp, opened, high, low, close, volume in rows.itertuples():
        contracts = volume * 100 if is_swap else volume
        numbers = [opened, high, low, close, contracts, volume, volume * close]
        cells.append([str(_milliseconds(stamp)), *map(str, numbers), "1" if stamp + HOUR <= now else "0"])
    return answered(cells)


def _milliseconds(moment: pd.Timestamp) -> int:
    return int(moment.timestamp() * 1000)
