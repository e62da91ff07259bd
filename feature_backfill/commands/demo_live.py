"""`feature-backfill demo --live`: a simulated exchange closes an hour every few seconds, and the features follow.

The exchange is served from this process. Its clock begins some days before ours and skips the greater part of each
hour, so that what it closes is past for Dagster, whose partitions end at our clock. Each hour is fetched by a run in
this process, which waits for the hour to close as a run of the schedule does. Once the exchange has caught up with our
clock, it goes on in real time, and Dagster's schedule fetches.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from string import Template

import dagster as dg
import pandas as pd

from feature_backfill.assets.names import features_key
from feature_backfill.assets.progress import ProgressListener
from feature_backfill.automation.fetching import fetch_config, fetch_job_name, newest_row
from feature_backfill.commands.shared.backfill import execute_here
from feature_backfill.commands.shared.dagster_dev import DagsterDev, dagster_dev
from feature_backfill.commands.shared.defaults import LOCAL_HOME
from feature_backfill.commands.shared.instance import local_instance
from feature_backfill.config import Market, load_market
from feature_backfill.definitions import build_definitions
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, last_closed_hour, utc_now
from feature_backfill.sources.exchange_api import loaded_ccxt
from feature_backfill.sources.simulated.binance import binance
from feature_backfill.sources.simulated.market import ExchangeClock, SimulatedMarket
from feature_backfill.sources.simulated.server import SimulatedExchange
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill.store.database import connect
from feature_backfill.store.features import last_stored_hour

LIVE_HOURS = 72
"""So far the exchange's clock is behind ours at first, if --live-hours says nothing."""

HISTORY_HOURS = 32 * 24
"""What the exchange has by then: more than a lookback, and more than a page of its API."""

SERVED_HOURS = 366 * 24
"""What it goes on to serve."""

LEAD = pd.Timedelta(seconds=3)
"""So long before an hour closes, its run is started."""

LOOK_EVERY_S = 0.2
LOOPBACK = "127.0.0.1"
TEMPLATE = Path(__file__).with_suffix(".yaml")
CONFIG = Path("configs", TEMPLATE.name)


def execute(folder: Path, live_hours: int | None) -> int:
    """Serve, fetch, and say a line an hour, until Ctrl-C or for a number of hours. All goes into the one folder.

    A demo that is in the folder already goes on. Raises UserError if ccxt is not installed, RunError if Dagster ends.
    """
    if live_hours is not None and not 1 <= live_hours <= SERVED_HOURS:
        raise UserError(f"--live-hours {live_hours}: name a number from 1 to {SERVED_HOURS}")
    loaded_ccxt()
    _reach_loopback_without_a_proxy()
    _end_at_signals()
    with suppress(KeyboardInterrupt):
        _show(folder, live_hours)
    _say(f"\nEnded. The same command goes on from here; without the folder {folder} it begins anew.")
    return 0


def _reach_loopback_without_a_proxy() -> None:
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = ",".join(filter(None, (known, LOOPBACK)))


def _end_at_signals() -> None:
    """Make Ctrl-C of each signal that asks for an end: none of them may leave Dagster behind."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell has its background jobs ignore the former
        signal.signal(number, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # else nohup was asked to keep it going
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def _show(folder: Path, live_hours: int | None) -> None:
    with (
        served_market(folder, live_hours or LIVE_HOURS) as (market, clock),
        local_instance(folder / LOCAL_HOME) as instance,
    ):
        fetches = _Fetches(instance, market)
        fetches.run(awaited=None)
        newest = clock.now().floor("h") - HOUR
        _say(f"history   {market.first_hour} .. {newest}, in {market.source.database}")
        log = folder / "dagster.log"
        with dagster_dev(folder, log) as dagster:
            _say(f"Dagster   starting, its log is {log}")
            dagster.wait_until_it_answers()
            page = "/".join(features_key(market, market.feature_sets[0]).path)
            _say(f"Dagster   {dagster.url}/assets/{page}?view=partitions\n")
            _say("bar               closed        row readable")
            for hour in pd.date_range(newest + HOUR, periods=live_hours or SERVED_HOURS, freq=HOUR):
                dagster.require_running()
                closed, readable = _arrival(hour, clock, fetches, dagster)
                times = "  ".join(f"{moment:%H:%M:%S.%f}"[:-4] for moment in (closed, readable))
                _say(f"{hour:%Y-%m-%d %H:%M}  {times}  {(readable - closed).total_seconds():.2f} s later")


def _arrival(
    hour: pd.Timestamp, clock: ExchangeClock, fetches: "_Fetches", dagster: DagsterDev
) -> tuple[pd.Timestamp, pd.Timestamp]:
    """See an hour close, and its row appear. Returns when that was, by our clock."""
    closed = hour + HOUR
    if closed <= utc_now():
        clock.set(closed - LEAD)
        return utc_now() + LEAD, fetches.run(awaited=hour)
    clock.set(utc_now())
    _say(f"{hour:%Y-%m-%d %H:%M}  closes at {closed:%H:%M} UTC, in real time; the schedule fetches it")
    while utc_now() < closed or not _has_row(fetches.market, hour):
        dagster.require_running()
        time.sleep(LOOK_EVERY_S)
    return closed, utc_now()


class _Fetches(ProgressListener):
    """Runs of a market's fetch job in this process."""

    def __init__(self, instance: dg.DagsterInstance, market: Market) -> None:
        self._instance, self.market = instance, market
        self._job = build_definitions([market], self).resolve_job_def(fetch_job_name(market))
        self._stored_at: pd.Timestamp | None = None

    def run(self, awaited: pd.Timestamp | None) -> pd.Timestamp:
        """Fetch and compute, as a run of the schedule does, or of the sensor, which awaits no hour.

        Returns when the rows could be read.
        """
        self._stored_at = None
        execute_here(self._job, self._instance, {} if awaited is None else fetch_config(self.market, awaited))
        return self._stored_at or utc_now()

    def stored(self, hours: int) -> None:
        """Note the time."""
        self._stored_at = utc_now()


def _has_row(market: Market, hour: pd.Timestamp) -> bool:
    with connect(market.target, read_only=True) as connection:
        newest = last_stored_hour(connection, market.feature_sets[0].key)
    return newest is not None and newest >= hour


@contextmanager
def served_market(folder: Path, live_hours: int) -> Iterator[tuple[Market, ExchangeClock]]:
    """The folder's market, whose exchange is served until the block ends, and the exchange's clock.

    The clock begins `live_hours` before ours or, if the folder holds a demo, with the hour after its newest.
    """
    config = folder / CONFIG
    begins = last_closed_hour() - (live_hours - 1) * HOUR
    first = load_market(config).first_hour if config.exists() else begins - HISTORY_HOURS * HOUR
    ohlcv = synthetic_ohlcv(first, (utc_now() - first) // HOUR + SERVED_HOURS, seed=7)
    clock = ExchangeClock(begins)
    with SimulatedExchange(binance(SimulatedMarket(ohlcv, clock))).serving() as exchange:
        try:
            config.write_text(Template(TEMPLATE.read_text()).substitute(first_hour=first, exchange=exchange.url))
        except OSError as error:
            raise UserError(f"cannot write {config}: {error.strerror}; name another --folder") from error
        _say(f"exchange  {exchange.url}, a simulated Binance")
        market = load_market(config)
        newest = newest_row(market)
        clock.set(begins if newest is None else max(begins, newest + HOUR))
        yield market, clock


def _say(line: str) -> None:
    print(line, flush=True)
