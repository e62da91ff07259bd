"""Rows for a person: a table or, where that would be wider than the terminal, a block for each row.

Only columns of texts are broken into lines, between words: a number or a name that is broken cannot be read or copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 250
"""Columns of the output where nobody says how wide it is."""

BETWEEN = 3
"""Characters between two columns of a table."""

LEAST_TEXT = 16
"""A column of texts is not made narrower."""


@dataclass(frozen=True)
class Column:
    """A column. right: its cells are aligned so. text: they may take several lines."""

    title: str
    right: bool = False
    text: bool = False


def console() -> Console:
    """The terminal, or a pipe of a fixed width."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=PIPE_WIDTH)


def print_rows(out: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text]], once: int) -> None:
    """Print rows, of at most as many cells as there are columns. once: so many leading cells are not repeated."""
    widths = [_least_width(column, place, rows) for place, column in enumerate(columns)]
    if sum(widths) + BETWEEN * (len(columns) - 1) <= out.width:
        out.print(_table(columns, widths, rows, once))
        return
    for position, row in enumerate(rows):
        if position:
            out.print()
        out.print(_block(columns, row))


def _least_width(column: Column, place: int, rows: Sequence[Sequence[Text]]) -> int:
    """In characters. A text may be folded, a number or a name may not."""
    widest = max([len(column.title), *(row[place].cell_len for row in rows if place < len(row))])
    return min(widest, LEAST_TEXT) if column.text else widest


def _table(columns: Sequence[Column], widths: Sequence[int], rows: Sequence[Sequence[Text]], once: int) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        justify: JustifyMethod = "right" if column.right else "left"
        table.add_column(column.title, justify=justify, no_wrap=not column.text, min_width=width)
    before: Sequence[Text] = []
    for row in rows:
        same = len(before) > 0 and all(a.plain == b.plain for a, b in zip(row[:once], before[:once], strict=True))
        table.add_row(*([""] * once if same else row[:once]), *row[once:])
        before = row
    return table


def _block(columns: Sequence[Column], row: Sequence[Text]) -> Table:
    block = Table.grid(padding=(0, 2, 0, 0))
    block.add_column(no_wrap=True, style="dim")
    block.add_column(overflow="fold")
    for column, cell in zip(columns, row, strict=False):
        block.add_row(column.title, cell)
    return block
