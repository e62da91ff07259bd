"""`feature-backfill demo --live` as a newcomer calls it: an exchange, a webserver and a daemon in real processes."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pandas as pd
import psutil
import pytest
import requests

from feature_backfill.assets.names import features_key, ohlcv_key
from feature_backfill.commands.demo_live import CONFIG
from feature_backfill.config import load_market
from feature_backfill.hours import hour_range, partition_keys
from feature_backfill.store.reading import read_features
from feature_backfill_tests.processes import alive

pytestmark = pytest.mark.live

ARRIVAL = re.compile(r"(\S+ \S+)  [\d:.]+  [\d:.]+  ([\d.]+) s later")


def demo(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "feature_backfill", "demo", "--live", *arguments]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def lines_until(process: "subprocess.Popen[str]", pattern: re.Pattern[str]) -> list[str]:
    """What a demo prints up to the line that fits a pattern."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if pattern.match(line):
            return lines
    raise AssertionError("".join(lines))


def test_hours_arrive_with_their_features_a_signal_ends_it_and_it_goes_on(tmp_path, monkeypatch):
    with demo(tmp_path) as process:
        lines = lines_until(process, ARRIVAL)
        (address,) = (found[1] for line in lines if (found := re.match(r"Dagster   (http\S+)", line)))
        assert requests.get(address, timeout=60).ok
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 3
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "The same command goes on from here" in output
    _, left = psutil.wait_procs(family, timeout=10)
    assert not alive(left)
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=60)

    folder = tmp_path / "demo_live"
    market = load_market(folder / CONFIG)
    (feature_set,) = market.feature_sets
    before = read_features(market.target_database, feature_set.key)
    with demo(tmp_path, "--live-hours", "2") as process:
        output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    arrived = [pd.Timestamp(found[1]) for found in ARRIVAL.finditer(output)]
    assert len(arrived) == 2
    rows = read_features(market.target_database, feature_set.key)
    assert list(rows.index) == list(hour_range(before.index[0], arrived[-1]))
    assert arrived[0] > before.index[-1]
    assert rows.shape[1] == 440
    monkeypatch.setenv("DAGSTER_HOME", str(folder / ".dagster_home"))
    with dg.DagsterInstance.get() as instance:
        shown = instance.get_materialized_partitions(features_key(market, feature_set))
        assert shown == set(partition_keys(rows.index))
        hours = hour_range(market.first_hour, arrived[-1])
        assert instance.get_materialized_partitions(ohlcv_key(market)) == set(partition_keys(hours))
