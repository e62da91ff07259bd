"""docs/features.md is what the code says."""

from pathlib import Path

import pytest

from feature_backfill.engine.catalog import BUILT_IN
from feature_backfill.engine.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "features.md"
COMMAND = "python -m feature_backfill.engine.reference > docs/features.md"


@pytest.fixture(scope="module")
def lines():
    return reference(BUILT_IN).splitlines()


def test_the_page_is_up_to_date(lines):
    page = PAGE.read_text().splitlines()
    differing = [line for line in lines if line not in page] + [line for line in page if line not in lines]
    assert page == lines, f"docs/features.md is out of date; run {COMMAND}; it differs for example in: {differing[:1]}"


def test_every_feature_is_there_once(lines):
    for number, feature in enumerate(BUILT_IN.features, 1):
        assert len([line for line in lines if line.startswith(f"| {number} | `{feature.name}` | ")]) == 1


@pytest.mark.parametrize(
    ("name", "min_bars", "reads", "oldest_bar"),
    [
        ("close_hurst_100", 100, 100, "never"),
        ("close_stoch_k_14", 14, 14, "if n = 14"),
        ("close_atr_14", 15, 15, "never"),
        ("close_obv", 2, "all", "never"),
        ("close_vwap", 1, "all", "always"),
    ],
)
def test_a_line_says_which_bars_are_read(lines, name, min_bars, reads, oldest_bar):
    [line] = [line for line in lines if f"| `{name}` |" in line]
    assert line.endswith(f"| {min_bars} | {reads} | {oldest_bar} |")
