"""The pictures of the README, taken of the demo in a headless browser.

`python -m feature_backfill_tests.browser.pictures` runs the demo in a temporary folder and writes them into
`docs/images/`. It needs the extras `browser` and `report`.
"""

import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from feature_backfill.cli import main
from feature_backfill.commands.shared.instance import LOCAL_HOME
from feature_backfill_tests.browser.chromium import chromium
from feature_backfill_tests.ui.server import Dagster

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LARGEST_BYTES = 200_000
VIEWPORT = {"width": 1340, "height": 900}
PARTITIONS = "assets/demo/features/demo_p60_default?view=partitions"


def take(images: Path = IMAGES) -> None:
    """Write report.png and partitions.png into a folder."""
    with TemporaryDirectory() as temporary, chdir(temporary):
        folder = Path(temporary) / "demo"
        assert main(["demo", "--folder", str(folder)]) == 0
        with chdir(folder):
            assert main(["report", "demo", "--days", "90", "--out", "report.html"]) == 0
        dagster = Dagster(folder / "configs", folder / LOCAL_HOME)
        try:
            address = dagster.start_webserver().address
            with chromium() as browser:
                page = browser.new_page(viewport=VIEWPORT)
                page.goto((folder / "report.html").as_uri())
                page.evaluate("document.querySelector('#candles').scrollIntoView({behavior: 'instant'})")
                page.locator("#chart .candlelayer, #chart .boxlayer").first.wait_for(state="attached")
                page.screenshot(path=images / "report.png")
                page = browser.new_page(viewport=VIEWPORT)
                page.set_default_timeout(90_000)
                page.goto(f"{address}/{PARTITIONS}")
                chosen = page.locator("input[type=text]").first
                chosen.fill("[2025-01-01-00:00...2025-06-29-23:00]")
                chosen.press("Enter")
                page.get_by_text("4,320 Partitions Selected").wait_for()
                page.get_by_text("2025-06-29-23:00", exact=True).first.click()
                page.get_by_text("rows_written").wait_for()
                page.wait_for_load_state("networkidle")
                page.screenshot(path=images / "partitions.png")
        finally:
            dagster.stop_all()
    for image in ("report.png", "partitions.png"):
        size = (images / image).stat().st_size
        assert size < LARGEST_BYTES, f"{image} has {size} bytes"
        print(f"{images / image}: {size} bytes")


if __name__ == "__main__":
    sys.exit(take())
