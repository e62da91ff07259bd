"""The simulated exchange as Binance: spot and USDT perpetual API, and the public archive of files."""

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterator

import pandas as pd

from feature_backfill.engine.bars import COLUMNS
from feature_backfill.hours import HOUR
from feature_backfill.sources.simulated.market import SimulatedMarket
from feature_backfill.sources.simulated.server import NOT_FOUND, Answer, Request, Route, as_json
from feature_backfill.store.files import KLINE_COLUMNS

SPOT, PERPETUAL = "spot", "futures/um"
MOST_KLINES = {SPOT: 1000, PERPETUAL: 1500}
UNKNOWN_SYMBOL = as_json({"code": -1121, "msg": "Invalid symbol."}, status=400)
MICROSECONDS_SINCE = pd.Timestamp("2025-01-01")
HEADER_SINCE = pd.Timestamp("2022-05-01")
_PATHS = {SPOT: "/api/v3/", PERPETUAL: "/fapi/v1/"}
_FILE = re.compile(
    r"/data/(?P<kind>spot|futures/um)/(?P<period>daily|monthly)/klines/(?P<folder>\w+)/1h"
    r"/(?P<symbol>\w+)-1h-(?P<date>\d{4}-\d\d(-\d\d)?)\.zip(?P<checksum>\.CHECKSUM)?"
)


Archived = Callable[[str, pd.DataFrame], pd.DataFrame]
"""The candles that a file of the archive holds, by its name and the candles that it should hold."""


def binance(market: SimulatedMarket, archived: Archived = lambda name, candles: candles) -> list[Route]:
    """The API and the archive of both kinds of market."""

    def api(request: Request) -> Answer | None:
        if request.path == "/dapi/v1/exchangeInfo":  # coin-margined contracts, which ccxt loads together with spot
            return as_json({"symbols": []})
        kind = next((kind for kind, path in _PATHS.items() if request.path.startswith(path)), None)
        return None if kind is None else _api(market, kind, request)

    def archive(request: Request) -> Answer | None:
        return _archived(market, request.path, archived) if request.path.startswith("/data/") else None

    return [api, archive]


def _api(market: SimulatedMarket, kind: str, request: Request) -> Answer:
    match request.path.removeprefix(_PATHS[kind]):
        case "ping":
            return as_json({})
        case "time":
            return as_json({"serverTime": _milliseconds(market.clock.now())})
        case "exchangeInfo":
            return as_json({"symbols": [_symbol(market, kind)]}, weight=20 if kind == SPOT else 1)
        case "klines":
            return _klines(market, kind, request)
    return NOT_FOUND


def _symbol(market: SimulatedMarket, kind: str) -> dict[str, object]:
    described = {
        "symbol": market.base + market.quote,
        "status": "TRADING",
        "baseAsset": market.base,
        "quoteAsset": market.quote,
        "pricePrecision": 1,
        "quantityPrecision": 3,
        "filters": [],
    }
    if kind == PERPETUAL:
        described |= {"contractType": "PERPETUAL", "marginAsset": market.quote, "deliveryDate": 4133404800000}
    return described


def _klines(market: SimulatedMarket, kind: str, request: Request) -> Answer:
    query = request.query
    if query.get("symbol") != market.base + market.quote or query.get("interval") != "1h":
        return UNKNOWN_SYMBOL
    limit = min(int(query.get("limit", 500)), MOST_KLINES[kind])
    weight = 2.0 if kind == SPOT else 1.0 if limit < 100 else 2.0 if limit < 500 else 5.0 if limit <= 1000 else 10.0
    last = _moment(query["endTime"]) if "endTime" in query else market.clock.now()
    if "startTime" in query:
        rows = market.candles(_moment(query["startTime"]), last).head(limit)
    else:
        rows = market.candles(last - limit * HOUR, last).tail(limit)
    return as_json(list(_cells(rows, per_millisecond=1)), weight)


def _archived(market: SimulatedMarket, path: str, archived: Archived) -> Answer:
    """A file of a day or month that is over, or its checksum."""
    found = _FILE.fullmatch(path)
    if found is None or found["symbol"] != market.base + market.quote or found["folder"] != found["symbol"]:
        return NOT_FOUND
    start = pd.Timestamp(found["date"])
    end = start + (pd.Timedelta(days=1) if found["period"] == "daily" else pd.offsets.MonthBegin(1))
    rows = market.candles(start, end - HOUR)
    if end > market.clock.now() or rows.empty:
        return NOT_FOUND
    name = path.rpartition("/")[2].removesuffix(".CHECKSUM")
    content = zipped_klines(archived(name, rows), found["kind"], name)
    if found["checksum"]:
        return Answer(checksum(content, name))
    return Answer(content, headers={"Content-Type": "application/zip"})


def zipped_klines(rows: pd.DataFrame, kind: str, name: str) -> bytes:
    """Candles as a file of the archive: units of time and header are those of the kind of market and the date."""
    microseconds = kind == SPOT and rows.index[0] >= MICROSECONDS_SINCE
    lines = [",".join(map(str, cells)) for cells in _cells(rows, 1000 if microseconds else 1)]
    if kind == PERPETUAL and rows.index[0] >= HEADER_SINCE:
        lines.insert(0, ",".join(KLINE_COLUMNS))
    buffer = io.BytesIO()
    # Without the time of day, the same rows give the same bytes.
    member = zipfile.ZipInfo(name.replace(".zip", ".csv"))
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, "\n".join(lines) + "\n", zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def checksum(content: bytes, name: str) -> bytes:
    """The text of a file's .CHECKSUM."""
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()


def _cells(rows: pd.DataFrame, per_millisecond: int) -> Iterator[list[int | str]]:
    """The 12 columns of klines."""
    for stamp, *values in rows[list(COLUMNS)].itertuples():
        opened = _milliseconds(stamp)
        closes = (opened + 3_600_000) * per_millisecond - 1
        prices = [f"{value:.8f}" for value in values]
        yield [opened * per_millisecond, *prices, closes, "0.00000000", 7, "0.00000000", "0.00000000", "0"]


def _milliseconds(moment: pd.Timestamp) -> int:
    return int(moment.timestamp() * 1000)


def _moment(milliseconds: str) -> pd.Timestamp:
    return pd.Timestamp(int(milliseconds), unit="ms")
