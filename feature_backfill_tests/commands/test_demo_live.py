"""The parts of `feature-backfill demo --live`; ui/test_demo_live.py runs it."""

import socket
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from feature_backfill.cli import main
from feature_backfill.commands.demo_live import CONFIG, HISTORY_HOURS, served_market
from feature_backfill.commands.shared import dagster_dev as child
from feature_backfill.commands.shared.dagster_dev import DagsterDev, dagster_dev
from feature_backfill.config import load_market
from feature_backfill.errors import RunError
from feature_backfill.hours import HOUR, hour_range, last_closed_hour
from feature_backfill.sources.registry import bring
from feature_backfill_tests.markets import ohlcv_of
from feature_backfill_tests.processes import alive

CHILD = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("started", flush=True)
time.sleep({seconds})
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--live", "--hours", "2000"], "--hours is for the demo without --live; leave it out, or use --live-hours"),
        (["--live-hours", "3"], "--live-hours is for the demo with --live; add it"),
        (["--live", "--live-hours", "0"], "--live-hours 0: name a number from 1 to 8784"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, capsys, arguments, message):
    assert main(["demo", "--folder", str(tmp_path / "here"), *arguments]) == 2
    assert capsys.readouterr().err == f"feature-backfill demo: {message}\n"


def test_without_ccxt_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ccxt", None)
    assert main(["demo", "--live", "--folder", str(tmp_path / "here")]) == 2
    assert "needs ccxt: install it with pip install 'feature-backfill[exchange]'" in capsys.readouterr().err


def test_the_exchange_begins_some_hours_back_and_goes_on_where_the_table_ends(tmp_path):
    begins = last_closed_hour() - 4 * HOUR
    (tmp_path / "configs").mkdir()
    with served_market(tmp_path, live_hours=5) as (market, clock):
        first, api = market.first_hour, market.source.api
        assert clock.now().floor("h") == begins
        bring(market)
        assert list(ohlcv_of(market)["timestamp"]) == list(hour_range(first, begins - HOUR))
        assert len(ohlcv_of(market)) == HISTORY_HOURS
        clock.set(begins + 2 * HOUR)
        bring(market)
    with served_market(tmp_path, live_hours=5) as (market, clock):
        assert clock.now().floor("h") == begins + 2 * HOUR
        assert market.first_hour == first
        assert load_market(tmp_path / CONFIG).source.api == market.source.api != api
        clock.set(begins + 3 * HOUR)
        assert bring(market).restated.empty
        assert list(ohlcv_of(market)["timestamp"]) == list(hour_range(first, begins + 2 * HOUR))


def test_dagster_takes_another_port_if_its_own_is_in_use(tmp_path, monkeypatch):
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        monkeypatch.setattr(child, "PORT", somebody.getsockname()[1])
        assert child.free_port() != child.PORT
    assert child.free_port() == child.PORT


def test_a_dagster_that_ended_is_named_with_its_log(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as process:
        process.wait()
        dagster = DagsterDev(process, 3000, tmp_path / "dagster.log")
        with pytest.raises(RunError, match=r"ended by itself, with exit code 7; .*dagster\.log says why"):
            dagster.wait_until_it_answers()


@pytest.mark.parametrize("seconds", [0, 600], ids=["the child ends by itself", "the child ignores Ctrl-C"])
def test_whatever_the_child_has_started_ends_with_it(tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(child, "ENDS_IN_S", 0.2)
    monkeypatch.setattr(child, "COMMAND", ["-c", CHILD.format(seconds=seconds)])
    log, others = tmp_path / "dagster.log", set(psutil.Process().children(recursive=True))
    with suppress(RunError), dagster_dev(tmp_path, log) as dagster:
        while "started" not in log.read_text():
            time.sleep(0.01)
        family = set(psutil.Process().children(recursive=True)) - others
        assert family
        while seconds == 0:
            dagster.require_running()
    _, left = psutil.wait_procs(family, timeout=10)
    assert not alive(left)
