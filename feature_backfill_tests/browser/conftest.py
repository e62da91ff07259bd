"""A headless Chromium. Tests that use it are marked `browser`: they need Debian's Chromium and the extra `browser`."""

import shutil

import pytest

PATIENCE_MS = 90_000


@pytest.fixture
def page_of(request, tmp_path):
    """Opens the page of a URL. If the test fails, a screenshot of each page that it opened is saved in its tmp_path.

    One browser per test: its event loop occupies this thread, in which Dagster then cannot run jobs. Run them in
    fixtures of a wider scope, which are set up before.
    """
    from playwright.sync_api import sync_playwright  # not at the top: the other tests are collected without it

    executable = shutil.which("chromium")
    assert executable, "chromium is not on the PATH; install Debian's package chromium"
    failed_before = request.session.testsfailed
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=executable) as browser:
        context = browser.new_context(viewport={"width": 1400, "height": 1000})
        context.set_default_timeout(PATIENCE_MS)

        def opened(url):
            page = context.new_page()
            page.goto(url)
            return page

        yield opened
        if request.session.testsfailed > failed_before:
            for number, page in enumerate(context.pages):
                screenshot = tmp_path / f"page-{number}.png"
                page.screenshot(path=screenshot)
                print(f"screenshot of {page.url}: {screenshot}")
