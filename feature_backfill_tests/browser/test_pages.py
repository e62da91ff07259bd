"""What a person sees on the pages of Dagster's UI, held against the market's tables."""

import re
from pathlib import Path

import pytest

from feature_backfill.assets.names import features_key
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR, hour_range, last_closed_hour
from feature_backfill_tests.markets import FIRST, GAP, configure, small_market, stored
from feature_backfill_tests.runs import run_range
from feature_backfill_tests.ui.server import Dagster

pytestmark = pytest.mark.browser

ASKED = GAP - 10 * HOUR, GAP + 60 * HOUR
FAILED = GAP + 70 * HOUR, GAP + 74 * HOUR
SKIPPED = 48
"""The gap's hour, and the hours that look back on it."""

COUNT = re.compile(r"(Failed|Materialized|Materializing|Missing) \((\d+)\)")


@pytest.fixture(scope="module")
def site(module_instance, tmp_path_factory):
    """A market with stored, skipped and failed hours and a run of its checks, and the webserver's address."""
    folder = tmp_path_factory.mktemp("site")
    market = small_market(folder)
    configure(market, folder)
    (feature_set,) = market.feature_sets
    assert run_range(module_instance, market, *ASKED).success
    without_bars = [features_key(market, feature_set)]
    assert not run_range(module_instance, market, *FAILED, only=without_bars).success
    checks = build_definitions([market]).resolve_job_def("small__checks")
    assert not checks.execute_in_process(instance=module_instance, raise_on_error=False).success
    dagster = Dagster(folder, Path(module_instance.root_directory))
    try:
        yield market, dagster.start_webserver().address
    finally:
        dagster.stop_all()


def test_the_partitions_page_counts_what_the_tables_hold(site, page_of):
    market, address = site
    closed_before = last_closed_hour()
    page = page_of(f"{address}/assets/small/features/short?view=partitions")
    page.get_by_text(re.compile(r"Materialized \([1-9]")).wait_for()
    shown = {status: int(count) for status, count in COUNT.findall(page.inner_text("body"))}
    assert page.title() == "Assets | small / features / short"
    rows, failed = len(stored(market)), len(hour_range(*FAILED))
    assert rows == len(hour_range(*ASKED)) - SKIPPED
    # An hour may have closed while the page was loading.
    missing = {len(hour_range(FIRST, last)) - rows - failed for last in (closed_before, last_closed_hour())}
    assert shown.pop("Missing") in missing
    assert shown == {"Materialized": rows, "Materializing": 0, "Failed": failed}


def test_the_description_of_an_hourly_asset_leads_to_its_checks(site, page_of):
    _, address = site
    page = page_of(f"{address}/assets/small/features/short")
    page.get_by_role("link", name="small/features/short_checks", exact=True).click()
    page.get_by_text("Checks (6)").wait_for()
    page.get_by_text("Evaluation result").wait_for()
    assert "Not evaluated" not in page.inner_text("body")
