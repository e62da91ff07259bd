"""The drawings of a report that can be zoomed and hovered over, as Plotly figures.

They have no background and no ink of their own: the page's style sheet gives both, so that light and dark differ there
only. All of a figure's panes share one x axis, and with it zoom and hover.
"""

import textwrap
from typing import Any

import numpy as np
import pandas as pd

from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR
from feature_backfill.planning.counting import STORED
from feature_backfill.reports.candles import Candles
from feature_backfill.reports.coverage import ABSENT, COLOURS, STATES
from feature_backfill.reports.drawings import LINE

try:
    import plotly.graph_objects as go
    from plotly.offline import get_plotlyjs
except ImportError as error:
    raise UserError("a report needs plotly: install it with pip install 'feature-backfill[report]'") from error

UP, DOWN = COLOURS[STORED], COLOURS[ABSENT]
CANDLES_PX, VOLUME_PX, PANE_PX, SPACE_PX = 320, 80, 100, 24
ROW_PX = 16
FEW_VALUES = 48
LETTERS = 40
"""How wide the text of a hover may be."""

MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}
_HIDDEN_AXIS = {"visible": False, "fixedrange": True}
_INVISIBLE = "rgba(0,0,0,0)"


def script() -> str:
    """The script that draws figures, 4.8 MB."""
    return str(get_plotlyjs())


def candles_figure(candles: Candles, worst: pd.DataFrame) -> go.Figure:
    """Candles, volume, and a pane for each feature. worst: bars x (state, reason); what is not stored is shaded."""
    bars, heights = candles.bars, [CANDLES_PX, VOLUME_PX, *(PANE_PX for _ in candles.features.columns)]
    total = sum(heights) + SPACE_PX * len(heights)
    figure = go.Figure()
    _add_shading(figure, worst, candles.bar_hours)
    known = bars.dropna()  # Plotly draws a candle of NaN as a broken path
    ohlc: dict[str, Any] = {name: known[name].to_numpy(np.float64) for name in ("open", "high", "low", "close")}
    figure.add_candlestick(
        x=known.index, **ohlc, name="price", yaxis="y2", increasing_line_color=UP, decreasing_line_color=DOWN
    )
    rising = np.where(known["close"] >= known["open"], UP, DOWN)
    volume = known["volume"].to_numpy(np.float32)
    figure.add_bar(x=known.index, y=volume, name="volume", yaxis="y3", marker={"color": rising, "line_width": 0})
    for number, (name, values) in enumerate(candles.features.items(), start=4):
        _add_feature(figure, str(name), values, f"y{number}")
    figure.update_layout(
        height=total + 50,
        xaxis={
            "rangeslider_visible": False,
            "anchor": f"y{len(heights) + 1}",
            "type": "date",
            "spikethickness": 1,
            "spikedash": "dot",
            "hoverformat": "%Y-%m-%d %H:%M",
        },
        yaxis={"domain": [0, 1], "range": [0, 1], **_HIDDEN_AXIS},
        hovermode="x unified",
        hoversubplots="axis",
        bargap=0.15,
        barmode="overlay",
        showlegend=False,
        hoverlabel={"namelength": -1, "font_size": 11},
    )
    top = total - SPACE_PX
    for number, (height, title) in enumerate(
        zip(heights, ["price", "volume", *candles.features.columns], strict=True), start=2
    ):
        domain = [(top - height) / total, top / total]
        figure.update_layout(
            {f"yaxis{number}": {"domain": domain, "anchor": "x", "side": "right", "nticks": 5, "hoverformat": ",.7~g"}}
        )
        if title == "volume":
            figure.update_layout({f"yaxis{number}_rangemode": "nonnegative"})
        elif title != "price" and candles.features[title].isna().all():
            figure.update_layout({f"yaxis{number}": {"showticklabels": False, "range": [0, 1]}})
            title += ": no value in these hours"
        figure.add_annotation(
            text=title, x=0, y=domain[1], xref="paper", yref="paper", xanchor="left", yanchor="bottom", showarrow=False
        )
        top -= height + SPACE_PX
    return _plain(figure)


def _add_feature(figure: go.Figure, name: str, values: pd.Series, axis: str) -> None:
    """A line, and for the hover of each value a bar of no height: a line would give the value of a near hour instead.

    A value without neighbours is no line, so a few values have markers.
    """
    line = values.to_numpy(np.float32)
    mode = "lines+markers" if values.count() < FEW_VALUES else "lines"
    figure.add_scatter(
        x=values.index, y=line, mode=mode, yaxis=axis, line={"color": LINE, "width": 1.4}, hoverinfo="skip"
    )
    known = values.dropna()
    figure.add_bar(
        x=known.index,
        y=np.zeros(len(known), dtype=np.int8),
        base=known.to_numpy(np.float32),
        name=name,
        yaxis=axis,
        opacity=0,
        hovertemplate="%{fullData.name} : %{base:,.7~g}<extra></extra>",
    )


def calendar_figure(calendar: pd.DataFrame, texts: pd.DataFrame) -> go.Figure:
    """Day by hour: the state of every hour. calendar: 24 x days, positions in STATES, NaN where there is no hour.

    texts: 24 x days, what the hover says.
    """
    steps = np.arange(len(STATES) + 1) / len(STATES)
    scale = [[end, COLOURS[state]] for state, *ends in zip(STATES, steps, steps[1:], strict=False) for end in ends]
    states = calendar.to_numpy(np.float32)
    figure = go.Figure(
        go.Heatmap(
            x=pd.DatetimeIndex(calendar.columns)
            + 12 * HOUR,  # the middle of the day, so that its column begins at midnight
            y=np.arange(24),
            z=states,
            text=texts.to_numpy(),
            zmin=-0.5,
            zmax=len(STATES) - 0.5,
            colorscale=scale,
            showscale=False,
            hoverongaps=False,
            hovertemplate="%{x|%Y-%m-%d} %{y}:00 %{text}<extra></extra>",
        )
    )
    return _plain(figure.update_layout(height=300, yaxis={"autorange": "reversed", "dtick": 6, "title": "hour (UTC)"}))


def correlations_figure(correlations: pd.DataFrame) -> go.Figure:
    """A heat map of features x months; blue: the price tended to rise after high values, red: to fall."""
    figure = go.Figure(
        go.Heatmap(
            x=[f"{month:%Y-%m}" for month in correlations.columns],
            y=list(correlations.index),
            z=correlations.to_numpy(np.float32).round(3),
            zmin=-0.6,
            zmax=0.6,
            colorscale="RdBu",
            colorbar={"thickness": 10, "len": 300, "lenmode": "pixels", "y": 1, "yanchor": "top"},
            hovertemplate="%{y}<br>%{x}: %{z:.2f}<extra></extra>",
        )
    )
    height = ROW_PX * len(correlations) + 100
    axes = {
        "xaxis": {"side": "top", "type": "category"},
        "yaxis": {"autorange": "reversed", "dtick": 1, "fixedrange": True},
    }
    return _plain(figure.update_layout(height=height, **axes))


def _add_shading(figure: go.Figure, worst: pd.DataFrame, bar_hours: int) -> None:
    """A rectangle behind each stretch of bars in one state, and an invisible bar for the hover of each of them."""
    half = bar_hours * HOUR / 2
    for position, state in enumerate(STATES):
        bars = worst[worst["state"] == position]
        if state == STORED or bars.empty:
            continue
        opens = pd.DatetimeIndex(bars.index)
        begins = np.flatnonzero(np.diff(opens, prepend=opens[:1]) != bar_hours * HOUR)
        for first, last in zip(opens[begins], opens[[*(begins[1:] - 1), -1]], strict=True):
            figure.add_shape(
                x0=first - half,
                x1=last + half,
                y0=0,
                y1=1,
                yref="paper",
                layer="below",
                opacity=0.25,
                fillcolor=COLOURS[state],
                line_width=0,
            )
        texts = [_wrapped(f"{state}, {reason}") for reason in bars["reason"]]
        hover = {"customdata": texts, "hovertemplate": "%{customdata}<extra></extra>"}
        figure.add_bar(x=opens, y=np.ones(len(bars), dtype=np.int8), name=state, opacity=0, **hover)


def _wrapped(text: str) -> str:
    return "<br>".join(textwrap.wrap(text, LETTERS))


def _plain(figure: go.Figure) -> go.Figure:
    return (
        figure.update_layout(
            template="none",
            margin=MARGIN,
            paper_bgcolor=_INVISIBLE,
            plot_bgcolor=_INVISIBLE,
            font={"family": "system-ui, sans-serif", "size": 12},
            modebar={"bgcolor": _INVISIBLE},
        )
        .update_yaxes(automargin=True)
        .update_xaxes(automargin=True)
    )
