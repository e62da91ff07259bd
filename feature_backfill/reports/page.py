"""The report as one HTML file that needs no network: the template filled, Plotly's script included once."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from feature_backfill.errors import UserError
from feature_backfill.paths import written_whole
from feature_backfill.planning.counting import STORED
from feature_backfill.reports import figures
from feature_backfill.reports.contents import HORIZON_HOURS, Contents
from feature_backfill.reports.coverage import COLOURS, STATES
from feature_backfill.reports.drawings import histogram, sparkline
from feature_backfill.reports.drift import BEFORE, DRIFTED, LEAST_VALUES, NEWEST, SHIFTED, Drift

TEMPLATE = "report.html.jinja"
_BUTTONS = ["zoom2d", "pan2d", "resetScale2d", "toImage"]
_CONFIG = {"responsive": True, "displaylogo": False, "modeBarButtons": [_BUTTONS]}
_VERDICTS = ("error", "warning", "passed")


def page_of(contents: Contents) -> str:
    """The text of the file."""
    environment = Environment(
        loader=PackageLoader("feature_backfill", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": _share,
        "figure": _figure,
        "verdict": _verdict,
        "drift_class": _drift_class,
        "breakable": _breakable,
    }
    candles, coverage = contents.candles, contents.coverage
    shaded = coverage.worst(candles.bar_hours).reindex(candles.bars.index).dropna()
    states = coverage.states.value_counts()
    before = min(BEFORE, contents.standing.newest - contents.standing.oldest - NEWEST)
    verdicts = Counter(_verdict(result) for _, result in contents.checks)
    return environment.get_template(TEMPLATE).render(
        contents=contents,
        script=Markup(figures.script()),
        chart=_html(figures.candles_figure(candles, shaded), "chart"),
        calendar=_html(figures.calendar_figure(coverage.calendar, coverage.texts), "calendar", buttons=False),
        correlations=_html(figures.correlations_figure(contents.correlations), "correlations", buttons=False),
        states=[(state, COLOURS[state], int(states.get(at, 0))) for at, state in enumerate(STATES)],
        shading={STATES[int(at)] for at in shaded["state"]} - {STORED},
        verdicts=[(verdict, verdicts[verdict]) for verdict in _VERDICTS if verdicts[verdict]],
        worst_verdict=next((verdict for verdict in _VERDICTS if verdicts[verdict]), ""),
        sparkline=sparkline,
        histogram=histogram,
        newest_days=NEWEST.days,
        before_days=before.days,
        compared=any(not math.isnan(line.drift.psi) for line in contents.lines),
        least_values=LEAST_VALUES,
        shifted=SHIFTED,
        drifted=DRIFTED,
        horizon=HORIZON_HOURS,
    )


def write_page(text: str, file: Path) -> None:
    """Write the file, which appears whole or not at all. Raises UserError if it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(file) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror or error}") from error


def _html(figure: Any, name: str, buttons: bool = True) -> Markup:
    """A figure as a part of the page, with or without a toolbar. Plotly escapes what could end its script."""
    config = {**_CONFIG, "displayModeBar": None if buttons else False}
    return Markup(figure.to_html(full_html=False, include_plotlyjs=False, config=config, div_id=name))


def _verdict(result: dg.AssetCheckResult) -> str:
    """One of _VERDICTS."""
    if result.passed:
        return "passed"
    return "error" if result.severity is dg.AssetCheckSeverity.ERROR else "warning"


def _drift_class(drift: Drift) -> str:
    """The class of a PSI that exceeds those before by more than the customary limits."""
    return "error" if drift.excess > DRIFTED else "warning" if drift.excess > SHIFTED else ""


def _breakable(name: str) -> Markup:
    """A name that a narrow column breaks after an underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def _figure(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def _share(share: float) -> str:
    """A share in percent."""
    return "0" if not share else "<0.1 %" if share < 0.001 else f"{100 * share:.1f} %"
