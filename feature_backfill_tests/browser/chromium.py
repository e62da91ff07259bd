"""A headless Chromium. Tests that use it are marked `browser`: they need Debian's Chromium and the extra `browser`."""

import shutil
from contextlib import contextmanager


@contextmanager
def chromium():
    """The browser, closed at the end of the block."""
    from playwright.sync_api import sync_playwright  # not at the top: the other tests are collected without it

    executable = shutil.which("chromium")
    assert executable, "chromium is not on the PATH; install Debian's package chromium"
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=executable) as browser:
        yield browser
