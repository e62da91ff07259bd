"""The report in a browser: all of it is drawn, nothing is asked of another host, and it fits a phone."""

import pytest

from feature_backfill.checks.market import look_at
from feature_backfill.hours import HOUR
from feature_backfill.reports.contents import Choice, contents_of
from feature_backfill.reports.page import page_of, write_page
from feature_backfill_tests.markets import FIRST, LAST, small_market
from feature_backfill_tests.runs import run_range

pytestmark = pytest.mark.browser

PANES = ["close_rsi_14_1H", "log_close_4H"]
RANGE = "document.querySelector('#chart').layout.xaxis.range"
WIDTH = "document.querySelector('#chart .main-svg').getBoundingClientRect().width"
LIGHT_PAPER, DARK_PAPER = "rgb(255, 255, 255)", "rgb(20, 24, 31)"


@pytest.fixture(scope="module")
def report(module_instance, tmp_path_factory):
    """The address of the report of a market with a gap in its middle."""
    folder = tmp_path_factory.mktemp("report")
    market = small_market(folder)
    (feature_set,) = market.feature_sets
    assert run_range(module_instance, market, FIRST, LAST - HOUR).success
    contents = contents_of(market, feature_set, Choice(days=15, panes=PANES), look_at(market, feature_set))
    file = folder / "report.html"
    write_page(page_of(contents), file)
    return file.as_uri()


@pytest.fixture
def opened(report, page_of):
    """Opens the report; returns its page, the messages of its console, and the addresses that it asked for."""

    def visit(**options):
        messages, addresses = [], []

        def watch(page):
            page.on("console", lambda message: messages.append(message.text))
            page.on("pageerror", lambda error: messages.append(str(error)))
            page.on("request", lambda request: addresses.append(request.url))

        page = page_of(report, watch, **options)
        page.locator("#correlations .hm image").wait_for(state="attached")
        return page, messages, addresses

    return visit


def test_everything_is_drawn_and_nothing_is_asked_of_anybody(opened, report):
    page, messages, addresses = opened()
    assert page.locator("#chart .boxlayer path.box").count() == 15 * 24 - 1  # the gap's hour has no candle
    assert page.locator("#chart .scatterlayer .trace").count() == len(PANES)
    for name in ("price", "volume", *PANES):
        assert page.locator("#chart .annotation-text", has_text=name).count() == 1
    assert page.locator("#chart .shapelayer path").count() == 3  # the gap, the hours after it, the last hour
    assert page.locator("#calendar .hm image").count() == 1
    assert page.locator("#features tbody tr").count() == 220
    assert page.locator("#checks dt").count() == 8
    assert messages == []
    assert [address for address in addresses if not address.startswith(("data:", "blob:"))] == [report]


def test_hovering_tells_values_and_reasons_of_all_panes(opened):
    page, messages, _ = opened()
    hours = page.locator("#chart .boxlayer path.box")
    hovered = page.locator("#chart .hoverlayer .legend")
    skipped = hours.nth(6 * 24).bounding_box()  # a day after the gap
    page.mouse.move(skipped["x"], skipped["y"])
    page.mouse.move(skipped["x"] + 1, skipped["y"])
    hovered.get_by_text("after a gap").wait_for()
    stored = hours.nth(12 * 24).bounding_box()
    page.mouse.move(stored["x"] + 1, stored["y"])
    hovered.get_by_text(PANES[1]).wait_for()
    assert PANES[0] in hovered.text_content()
    assert messages == []


@pytest.mark.parametrize(("scheme", "paper"), [("light", LIGHT_PAPER), ("dark", DARK_PAPER)])
def test_it_fits_a_phone_in_light_and_dark(opened, scheme, paper):
    page, messages, _ = opened(viewport={"width": 375, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert page.locator("#chart .annotation-text").first.evaluate("e => getComputedStyle(e).fill") == ink
    page.get_by_role("link", name="Coverage").click()
    assert 0 <= page.locator("#coverage").bounding_box()["y"] < 80
    assert messages == []


def test_a_finger_scrolls_the_page_over_a_chart_and_zooms_nothing(opened):
    page, messages, _ = opened(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.evaluate("document.querySelector('#candles').scrollIntoView({behavior: 'instant'})")
    before, zoom = page.evaluate("scrollY"), page.evaluate(f"JSON.stringify({RANGE})")
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": 200, "y": 700}]})
    for y in range(680, 200, -40):
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": 200, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function(f"scrollY > {before + 100}")
    assert page.evaluate(f"JSON.stringify({RANGE})") == zoom
    assert messages == []


def test_charts_fit_the_paper_and_all_is_unfolded(opened):
    page, messages, _ = opened(viewport={"width": 1440, "height": 900})
    page.evaluate("document.querySelector('details').open = false")
    width = page.evaluate(WIDTH)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function(f"{WIDTH} === 680")
    assert page.evaluate("document.querySelector('details').open")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(f"{WIDTH} === {width}")
    assert not page.evaluate("document.querySelector('details').open")
    assert messages == []
