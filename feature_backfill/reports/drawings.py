"""Small drawings as SVG: those of a report's table, and one for Dagster's page.

They are made of numbers and of colours alone, so nothing needs escaping.
"""

import base64
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from feature_backfill.reports.drift import Values

WIDTH, HEIGHT = 120, 22
LINE = "#4a8fd0"


def sparkline(values: Values) -> Markup:
    """A line through values at equal distances, broken where one is NaN."""
    return _svg(f'<path class="trend" d="{_path(values, WIDTH, HEIGHT)}"/>')


def histogram(newest: Values, before: Values) -> Markup:
    """Two distributions over the same bins: the newest filled, the one before as an outline; empty without bins."""
    if not len(newest):
        return Markup("")
    top = max(newest.max(), before.max())
    return _svg(f'<path class="newest" d="{_steps(newest / top)}"/><path class="before" d="{_steps(before / top)}"/>')


def overview(closes: Values, colours: Sequence[str]) -> str:
    """A line of closing prices over a strip of as many coloured cells, as an image in Markdown.

    Dagster's UI shows Markdown of up to 1,000 characters in place, which 30 cells keep to as a rule; longer Markdown is
    behind a button.
    """
    cells = range(len(colours))
    paths = (
        f'<path stroke="{colour}" d="{"".join(f"M{4 * at} 44h4" for at in cells if colours[at] == colour)}"/>'
        for colour in dict.fromkeys(colours)
    )
    line = f'<path stroke="{LINE}" fill="none" d="{_path(closes, 4 * len(colours), 38)}"/>'
    strip = f'<g stroke-width="4">{"".join(paths)}</g>'
    size = f'width="{8 * len(colours)}" viewBox="0 0 {4 * len(colours)} 48"'
    image = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{line}{strip}</svg>'
    return f"![overview](data:image/svg+xml;base64,{base64.b64encode(image.encode()).decode()})"


def _path(values: Values, width: int, height: int) -> str:
    """A line through values at equal distances, broken where one is NaN.

    A stroke of no length shows as a dot where its ends are round.
    """
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return ""
    low, high = values[known].min(), values[known].max()
    across = np.arange(len(values)) * (width / max(1, len(values) - 1))
    down = height - 1 - (values - low) / (high - low or 1) * (height - 2)
    strokes = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)
    return "".join("M" + "L".join(f"{across[at]:.0f} {down[at]:.1f}" for at in stroke) + "h0" for stroke in strokes)


def _steps(shares: Values) -> str:
    """The outline of bars from the ground up and back to it. shares: heights from 0 to 1."""
    width = WIDTH / len(shares)
    bars = "".join(f"V{HEIGHT - share * (HEIGHT - 2):.1f}h{width:.4g}" for share in shares)
    return f"M0 {HEIGHT}{bars}V{HEIGHT}"


def _svg(inside: str) -> Markup:
    return Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{inside}</svg>')
