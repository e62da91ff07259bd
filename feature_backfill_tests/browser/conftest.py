import pytest

from feature_backfill_tests.browser.chromium import chromium

PATIENCE_MS = 90_000


@pytest.fixture
def page_of(request, tmp_path):
    """Opens the page of a URL. If the test fails, a screenshot of each page that it opened is saved in its tmp_path.

    Keyword arguments are options of Playwright's context, such as the viewport and the color_scheme; `watch` is called
    with the page before it opens the URL.

    One browser per test: its event loop occupies this thread, in which Dagster then cannot run jobs. Run them in
    fixtures of a wider scope, which are set up before.
    """
    failed_before = request.session.testsfailed
    with chromium() as browser:
        pages = []

        def opened(url, watch=None, **options):
            context = browser.new_context(**{"viewport": {"width": 1400, "height": 1000}, **options})
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            if watch is not None:
                watch(page)
            page.goto(url)
            pages.append(page)
            return page

        yield opened
        if request.session.testsfailed > failed_before:
            for number, page in enumerate(pages):
                screenshot = tmp_path / f"page-{number}.png"
                page.screenshot(path=screenshot)
                print(f"screenshot of {page.url}: {screenshot}")
