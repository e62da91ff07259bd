"""Rows in terminals of different widths: no number and no name is ever broken."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from feature_backfill.commands.shared.tables import Column, print_rows

COLUMNS = [Column("market"), Column("key"), Column("hours", right=True), Column("why", text=True), Column("stale")]
KEY = "binance_btcusdt_p60_default"
ROWS = [
    ["btcusdt", KEY, "12,375", "719 warm-up, 719 after a gap, 7 no row in OHLCV", "1,234"],
    ["btcusdt", "another", "5,006", "none"],
]


def printed(width):
    file = io.StringIO()
    print_rows(Console(file=file, width=width), COLUMNS, [list(map(Text, row)) for row in ROWS], once=1)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [200, 100, 90, 60, 44])
def test_numbers_and_names_stay_whole(width):
    lines = printed(width)
    words = " ".join(lines).split()
    for word in (KEY, "12,375", "5,006", "1,234", "warm-up,"):
        assert word in words
    assert max(map(len, lines)) <= width
    assert lines[0].split()[0] == "market", "there is no blank line before it"


def test_what_repeats_is_left_out_of_a_table_and_not_of_a_block():
    assert " ".join(printed(200)).split().count("btcusdt") == 1
    assert [line for line in printed(60) if not line] == [""]
    assert " ".join(printed(60)).split().count("btcusdt") == 2
