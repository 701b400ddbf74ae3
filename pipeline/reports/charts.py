"""Interactive charts: the page's look, their HTML, and grids of them that follow the width of the window."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from pipeline.reports.markup import named
from pipeline.reports.theme import FADED, FONT, GRID, INK

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["CONFIG", "NARROW_SCRIPT", "chart", "chart_grid", "fade", "legend", "money_ticks", "packed", "restyle"]

# No way out of the file: plotly.js would otherwise offer to send a chart to its makers' server.
CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "displayModeBar": "hover",
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["lasso2d", "select2d"],
}
# A layout follows the width of the window, also when a phone is turned.
NARROW_SCRIPT = (
    "function narrowed(name,narrow,wide){const small=matchMedia('(max-width: 640px)');"
    "const plot=document.getElementById(name),fit=()=>{const layout=small.matches?narrow:wide;"
    "plot.style.height=layout.height+'px';Plotly.relayout(plot,layout)};if(small.matches)fit();small.addEventListener('change',fit)}"
)
_ENTRY = 20  # pixels of a line of a legend
_LEAST_WIDTH = 300  # pixels of a chart in a grid


def restyle(figure: "go.Figure", *, height: int, simulated: bool, mark: str = "simulated market") -> "go.Figure":
    """Give a figure the page's fonts, grid and margins, and a ``mark`` where the market is simulated."""
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 64, "r": 16, "t": 40, "b": 44},
        font={"family": FONT, "size": 12.5, "color": INK},
        paper_bgcolor="#fff",
        plot_bgcolor="#fff",
        hoverlabel={"bgcolor": "#fff", "bordercolor": FADED, "font": {"family": FONT, "size": 12.5, "color": INK}},
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
    )
    figure.update_xaxes(
        gridcolor=GRID,
        zeroline=False,
        linecolor=FADED,
        ticks="outside",
        tickcolor=FADED,
        ticklen=4,
        title={"font": {"size": 12.5}},
    )
    figure.update_yaxes(gridcolor=GRID, zeroline=False, automargin=True, title={"font": {"size": 12.5}})
    figure.update_annotations(font={"size": 13})
    if simulated:
        titled = any(axis.title.text for axis in figure.select_xaxes())
        if titled:
            figure.update_layout(margin={"b": 78})
        figure.add_annotation(
            text=mark,
            xref="paper",
            yref="paper",
            x=1,
            y=0,
            xanchor="right",
            yanchor="top",
            yshift=-57 if titled else -24,  # clear of the axis's title
            showarrow=False,
            font={"color": "#8a6400", "size": 12},
        )
    return figure


def money_ticks(currency: str) -> str:
    """Format of an axis of money, the minus before the sign: ``−$20,000``; without a unit in other currencies."""
    return "$,.0f" if currency == "$" else ",.0f"


def fade(color: str, share: float = 0.16) -> str:
    """A colour ``#rrggbb`` that covers a share of what lies below it."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {share})"


def packed(value: object) -> str:
    """A value as JSON within a script: ``<`` could end it wherever it stands, so none is left."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def chart(figure: "go.Figure", name: str, *, wide: bool = False, long_legend: bool = False) -> str:
    """A figure as a ``div`` and the script that fills it; the page holds plotly.js itself.

    ``name`` is the div's id, so that the same figure gives the same bytes. ``wide`` figures keep a least width and
    scroll sideways on narrow screens. A ``long_legend`` is a list above the chart there.
    """
    content: dict[str, Any] = json.loads(figure.to_json(engine="json"))
    arguments = ",".join(packed(part) for part in (name, content["data"], content["layout"], CONFIG))
    kind = "plot wide" if wide else "plot"
    div = f'<div id="{escape(name)}" class="{kind}" style="height:{int(figure.layout.height)}px"></div>'
    script = f"Plotly.newPlot({arguments});"
    if long_legend:
        script += f"narrowed({','.join(map(packed, (name, *_legend_down(figure))))});"
    return f'<div class="scroll">{div}</div>\n<script>{script}</script>'


def chart_grid(figures: Mapping[str, "go.Figure"], name: str, *, least_width: int = _LEAST_WIDTH) -> str:
    """Charts side by side, and one below the other where there is no room; by their titles, which are ready HTML."""
    parts = (
        f"<figure><figcaption>{title}</figcaption>{chart(figure, f'{name}-{place}')}</figure>"
        for place, (title, figure) in enumerate(figures.items())
    )
    return f'<div class="grid" id="{escape(name)}" style="--least:{least_width}px">{"".join(parts)}</div>'


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """Colours and names that several charts share."""
    return f'<div class="legend">{"".join(f"<span>{named(color, name)}</span>" for color, name in entries)}</div>'


def _legend_down(figure: "go.Figure") -> tuple[dict[str, Any], dict[str, Any]]:
    """Layout with the legend as a list above the chart, and of the same keys as it is."""
    layout = figure.layout
    more = _ENTRY * sum(trace.showlegend is not False for trace in figure.data)
    narrow = {
        "height": layout.height + more,
        "margin.t": layout.margin.t + more,
        "legend.orientation": "v",
        "legend.x": 0,
        "legend.xanchor": "left",
        "legend.y": 1,
        "legend.yref": "container",
        "legend.yanchor": "top",
    }
    wide = {"height": layout.height, "margin.t": layout.margin.t}
    wide |= {key: layout.legend[key.removeprefix("legend.")] for key in narrow if key.startswith("legend.")}
    return narrow, wide
