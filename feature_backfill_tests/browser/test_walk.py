"""A walk through Dagster's pages: two feature sets on 20,000 hours with a gap, beside a YAML with a typo."""

import re
from pathlib import Path

import pytest

from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.automation.jobs import job_name
from feature_backfill.config import market_from
from feature_backfill.hours import HOUR, hour_range, last_closed_hour, partition_key
from feature_backfill.sources.synthetic import drop_hours, synthetic_ohlcv
from feature_backfill_tests.markets import TABLE, configure, execute, put_ohlcv
from feature_backfill_tests.runs import run_range
from feature_backfill_tests.ui.server import Dagster

pytestmark = pytest.mark.browser

HOURS = 20_000
LAST = last_closed_hour()
FIRST = LAST - (HOURS - 1) * HOUR
GAP = LAST - 90 * HOUR
AFTER_GAP = GAP + 20 * HOUR
NEWEST = LAST - 2 * HOUR, LAST
FEATURES = {"base_hours": 48, "timeframes": ["1H", "4H"]}


@pytest.fixture(scope="module")
def site(module_instance, tmp_path_factory):
    """The market, the run of its whole history, and the webserver's address."""
    folder = tmp_path_factory.mktemp("site")
    put_ohlcv(folder / "ohlcv.duckdb", drop_hours(synthetic_ohlcv(FIRST, HOURS, seed=3), GAP, 1))
    fields = {
        "name": "desk",
        "first_hour": FIRST,
        "source": {"database": "ohlcv.duckdb", "table": TABLE},
        "target_database": "features.duckdb",
        "feature_sets": [{"key": key, **FEATURES} for key in ("one", "two")],
    }
    market = market_from(fields, folder, "test")
    configure(market, folder)
    (folder / "typo.yaml").write_text("name: typo\nfirst_hour: [2025\n")
    report_ohlcv(module_instance, market, hour_range(FIRST, LAST))
    history = run_range(module_instance, market, FIRST, LAST - 3 * HOUR)
    assert history.success
    for feature_set in market.feature_sets:
        assert run_range(module_instance, market, *NEWEST, job=job_name(market, feature_set)).success
    dagster = Dagster(folder, Path(module_instance.root_directory))
    try:
        yield market, history.run_id, dagster.start_webserver().address
    finally:
        dagster.stop_all()


def panel(page_of, address, asset, hour):
    """The page of an asset's partitions with one hour, not the last one, chosen by a click."""
    page = page_of(f"{address}/assets/desk/{asset}?view=partitions")
    page.get_by_text(partition_key(hour), exact=True).first.click()
    page.get_by_text("View all historical events").wait_for()
    page.wait_for_load_state("networkidle")
    return page


def test_after_an_hourly_run_both_feature_sets_and_the_bars_are_in_sync(site, page_of):
    _, _, address = site
    for asset in ("bars_4h", "features/one", "features/two"):
        page = panel(page_of, address, asset, NEWEST[0])
        page.get_by_text("Materialized", exact=True).first.wait_for()
        assert "Unsynced" not in page.inner_text("body"), asset


def test_an_hour_that_ohlcv_lacks_is_missing_in_the_bars(site, page_of):
    _, _, address = site
    page = page_of(f"{address}/assets/desk/bars_4h?view=partitions")
    page.get_by_text(re.compile(r"Missing \(1\)")).wait_for()
    page.get_by_text(re.compile(rf"Materialized \({HOURS - 1}\)")).wait_for()


def test_the_page_of_a_feature_set_says_why_hours_are_missing(site, page_of):
    _, _, address = site
    page = page_of(f"{address}/assets/desk/features/one?view=overview")
    page.get_by_text("why_missing", exact=True).wait_for()
    page.get_by_text(f"the lookback is complete again from {GAP + 48 * HOUR:%Y-%m-%d %H:%M}").first.wait_for()


def test_the_reason_of_a_missing_hour_is_two_clicks_away(site, page_of):
    _, _, address = site
    page = page_of(f"{address}/assets/desk/features/one")
    page.get_by_text("Events", exact=True).first.click()
    hour = page.get_by_text(partition_key(AFTER_GAP), exact=True).first
    page.get_by_text(partition_key(LAST), exact=True).first.hover()
    while not hour.is_visible():
        page.mouse.wheel(0, 600)
        page.wait_for_timeout(300)
    hour.click()
    page.get_by_text(f"the lookback is complete again from {GAP + 48 * HOUR:%Y-%m-%d %H:%M}").first.wait_for()
    assert "Skipped" in page.inner_text("body") or "skipped" in page.inner_text("body")


def test_the_page_of_a_run_over_20000_hours_loads_a_line_a_range(site, page_of, module_instance):
    _, run_id, address = site
    page = page_of(f"{address}/runs/{run_id}")
    page.get_by_text("desk__features__one").first.wait_for()
    page.get_by_text("RUN_SUCCESS").first.wait_for()
    assert len(module_instance.all_logs(run_id)) < 100


def test_numbers_of_the_newest_rows_are_drawn_as_lines(site, page_of):
    _, _, address = site
    page = page_of(f"{address}/assets/desk/features/one?view=overview")
    page.get_by_text("Plots", exact=True).first.click()
    page.locator("canvas").first.wait_for()
    shown = page.inner_text("body")
    for number in ("close", "missing_values", "seconds_late"):
        assert number in shown


def test_a_typo_stops_one_market_and_is_shown(site, page_of):
    _, _, address = site
    page = page_of(f"{address}/assets/typo/configuration")
    page.get_by_text("typo.yaml is not YAML").first.wait_for()
    page = page_of(f"{address}/automation")
    page.get_by_text("new_hours").first.wait_for()


def test_a_corrected_hour_is_unsynced_and_only_that(site, page_of, module_instance):
    market, _, address = site
    execute(market, f"UPDATE {TABLE} SET volume = volume * 2 WHERE timestamp = ?", LAST - HOUR)
    assert report_ohlcv(module_instance, market, hour_range(FIRST, LAST)) == 1
    page = panel(page_of, address, "features/one", LAST - HOUR)
    page.get_by_text("Unsynced").first.wait_for()
    page = panel(page_of, address, "features/one", NEWEST[0])
    assert "Unsynced" not in page.inner_text("body")
