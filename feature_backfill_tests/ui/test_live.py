"""From a YAML to rows that keep current: an exchange over HTTP, and Dagster's own webserver and daemon."""

import pandas as pd
import pytest

from feature_backfill.automation.fetching import fetch_config
from feature_backfill.commands.shared.instance import shipped_config
from feature_backfill.hours import HOUR, hour_range, last_closed_hour, partition_key
from feature_backfill_tests.exchange.scene import served_scene
from feature_backfill_tests.markets import configure, stored
from feature_backfill_tests.ui import server
from feature_backfill_tests.ui.server import Dagster, until

SERVED_HOURS = 3
FEATURES = ["btc", "features", "short"]


@pytest.mark.parametrize("days", [pytest.param(92, marks=pytest.mark.live), pytest.param(731, marks=pytest.mark.long)])
def test_a_yaml_fills_its_table_and_keeps_its_features_current(tmp_path, monkeypatch, days):
    """The sensor starts the first fetch. The hourly ones are launched as by the schedule, just before the hour closes.

    The exchange's clock begins some hours before ours, and is set on hour by hour.
    """
    monkeypatch.setattr(server, "PATIENCE_S", 300)
    filled = last_closed_hour() - SERVED_HOURS * HOUR
    first = filled - (24 * days - 1) * HOUR
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(shipped_config("dagster.yaml").read_text())
    with served_scene(tmp_path, first, filled + HOUR + pd.Timedelta(seconds=1), hours=24 * days + 48) as scene:
        market = scene.market(first, archive=scene.exchange.url)
        configure(market, tmp_path / "configs")
        dagster = Dagster(tmp_path / "configs", home)
        try:
            ui = dagster.start_webserver()
            dagster.start_daemon()
            until(lambda: "SUCCESS" in ui.runs("btc__fetch").values() or None)
            scene.assert_table_is_what_the_exchange_holds(first)
            assert scene.exchange.asked("/data/")
            newest = hour_range(filled - 48 * HOUR, filled)
            assert list(stored(market)["ts"]) == list(newest)
            for hour in hour_range(filled + HOUR, filled + SERVED_HOURS * HOUR):
                scene.served.clock.set(hour + HOUR - pd.Timedelta(seconds=10))
                run = ui.launch_run("btc__fetch", fetch_config(market, hour))
                until(lambda run=run: None if ui.runs("btc__fetch")[run] in ("QUEUED", "STARTING", "STARTED") else 1)
                assert ui.runs("btc__fetch")[run] == "SUCCESS"
                newest = newest.union([hour])
                assert list(stored(market)["ts"]) == list(newest)
            scene.assert_table_is_what_the_exchange_holds(first)
            assert ui.partitions(["btc", "ohlcv"]) == [(partition_key(first), partition_key(newest[-1]))]
            assert ui.partitions(FEATURES) == [(partition_key(newest[0]), partition_key(newest[-1]))]
        finally:
            dagster.stop_all()
