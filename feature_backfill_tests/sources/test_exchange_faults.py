"""What an exchange or the network does wrong: what is asked again, what is said at once, and how often we ask."""

import sys

import pandas as pd
import pytest

from feature_backfill.errors import RunError, UserError
from feature_backfill.hours import HOUR
from feature_backfill.sources import retrying
from feature_backfill.sources.simulated.server import as_json
from feature_backfill_tests.exchange import faults
from feature_backfill_tests.exchange.faults import status
from feature_backfill_tests.exchange.scene import NOW, OKX, SPOT

pytestmark = pytest.mark.usefixtures("short_pauses")

RECENT = NOW.floor("h") - 50 * HOUR
PASSING = {
    "HTTP 429": status(429),
    "HTTP 418": status(418),
    "HTTP 403, a firewall": status(403),
    "HTTP 500": status(500),
    "HTTP 502": status(502),
    "HTTP 503": status(503),
    "HTTP 504": status(504),
    "a connection cut in the middle": faults.cut,
    "a connection closed without an answer": faults.down,
    "the page of a gateway": faults.not_json,
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_asked_again(scene, fault):
    for part in ("exchangeInfo", "time", "klines"):
        scene.faults.switch_on(PASSING[fault], part, times=2)
    scene.fetch(RECENT)
    scene.assert_table_is_what_the_exchange_holds(RECENT)
    assert len(scene.exchange.log) == 9


@pytest.mark.parametrize("fault", PASSING)
def test_what_does_not_pass_is_said_in_one_line_and_what_was_fetched_stays(scene, fault):
    scene.fetch(RECENT + HOUR)
    before = scene.stored()
    scene.faults.switch_on(PASSING[fault], "klines")
    with pytest.raises(RunError, match=r"7 times in a row; what was fetched stays. Try again later") as caught:
        scene.fetch(RECENT)
    assert f"binanceusdm BTC/USDT:USDT, candles from {RECENT:%Y-%m-%d %H:%M} on: " in str(caught.value)
    assert scene.exchange.log[-1][1].status != 200 or fault in (
        "a connection cut in the middle",
        "the page of a gateway",
    )
    pd.testing.assert_frame_equal(scene.stored(), before)
    scene.faults.clear()
    scene.fetch(RECENT)
    scene.assert_table_is_what_the_exchange_holds(RECENT)


def test_an_answer_that_does_not_come_in_time(scene, monkeypatch):
    import ccxt

    monkeypatch.setattr(ccxt.binanceusdm, "timeout", 100)
    scene.faults.switch_on(faults.slow(1.0), "klines", times=1)
    scene.fetch()
    scene.assert_table_is_what_the_exchange_holds()


def test_a_pause_that_the_exchange_names_is_kept(scene):
    scene.faults.switch_on(status(429, Retry_After="1"), "klines", times=1)
    scene.fetch()
    refused, asked_again, *_ = scene.exchange.asked("klines")
    assert asked_again.at - refused.at >= 1


def test_a_ban_is_said_at_once(scene):
    scene.faults.switch_on(status(418, Retry_After="7200"), "klines")
    with pytest.raises(RunError, match="HTTP 418; the server asks to wait 7200 s: ask again then"):
        scene.fetch()
    assert len(scene.exchange.asked("klines")) == 1


def test_a_location_that_is_not_served_is_said_at_once(scene):
    scene.faults.switch_on(status(451))
    with pytest.raises(UserError, match=r"does not serve this location \(HTTP 451\); name another exchange, or"):
        scene.fetch()
    assert len(scene.exchange.log) == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"symbol": "BTCC/USDT:USDT"}, r"binanceusdm has no symbol BTCC/USDT:USDT \(closest: BTC/USDT:USDT\)"),
        ({"exchange": "binanceusd"}, r"ccxt knows no exchange binanceusd \(closest: binanceusdm"),
        ({"exchange": "bitbns"}, "bitbns has no hourly candles in ccxt; name another exchange"),
        ({**OKX, "archive": "http://localhost"}, "only the files of binance, binanceusdm are known, not those of okx"),
    ],
)
def test_a_wrong_source_is_said_at_once(scene, source, message):
    with pytest.raises(UserError, match=message):
        scene.fetch(**source)
    assert not scene.klines_asked()


def test_an_address_that_is_no_exchange_is_said_at_once(scene):
    scene.faults.switch_on(faults.absent)
    with pytest.raises(UserError, match="refused with HTTP 404; correct symbol or `api`"):
        scene.fetch()
    assert len(scene.exchange.log) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"code": -1121, "msg": "Invalid symbol."},
        {"code": -2014, "msg": "API-key format invalid."},
    ],
)
def test_a_refusal_in_an_answer_is_said_at_once(scene, answer):
    scene.faults.switch_on(lambda _: as_json(answer), "klines")
    with pytest.raises(UserError, match=f"the exchange refuses: .*{answer['msg']}.*; correct the source"):
        scene.fetch()
    assert scene.klines_asked() == 1


def test_an_exchange_that_nobody_answers_for(scene):
    with pytest.raises(RunError, match="no connection"):
        scene.fetch(api="http://127.0.0.1:9")


def test_without_ccxt_the_extra_is_named(scene, monkeypatch):
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(UserError, match=r"needs ccxt: install it with pip install 'feature-backfill\[exchange\]'"):
        scene.fetch()


def test_the_pauses_grow_and_end():
    pauses = retrying.PAUSES_S
    assert list(pauses) == sorted(pauses)
    assert sum(pauses) < 120


@pytest.mark.parametrize("source", [SPOT, {}], ids=["spot", "perpetual"])
def test_nothing_is_asked_more_often_than_the_rate_limit_allows(scene, source):
    """Binance allows a weight of 6,000 a minute for spot and 2,400 for perpetuals."""
    scene.faults.switch_on(faults.one_row, "klines")
    scene.fetch(NOW.floor("h") - 60 * HOUR, **source)
    assert scene.klines_asked() == 60
    candles = {request.at for request in scene.exchange.asked("klines")}
    assert scene.heaviest_second(since=min(candles)) <= (6000 if source else 2400) / 60
