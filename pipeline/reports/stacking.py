"""Charts on screens as narrow as a phone: a grid set one below the other, a legend as a list."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["legend_down", "stacked"]

Layouts = tuple[dict[str, Any], dict[str, Any]]

_BETWEEN = 64  # pixels for a chart's time labels and the title of the next
_TOP = 128  # the legend takes more lines there
_BELOW = 48
_AXIS_TITLE = 22
_ENTRY = 20  # a line of a legend


def stacked(figure: "go.Figure", panels: int, *, panel_height: int, top: int = _TOP) -> Layouts:
    """Layout keys that differ on a narrow screen, and the same keys for a wide one.

    Parameters
    ----------
    figure
        Of ``make_subplots``, in reading order, its titles the first annotations.
    panels
        How many places of the grid are filled, the first ones.
    panel_height
        Of one chart with its title and labels, pixels.
    top
        Pixels above the first, for the legend.

    Returns
    -------
    narrow, wide
        Arguments of plotly's ``relayout``.
    """
    layout = figure.layout
    titled = any(axis.title.text for axis in figure.select_xaxes())
    between = _BETWEEN + (_AXIS_TITLE if titled else 0)
    inner = panels * panel_height - between
    narrow: dict[str, Any] = {"height": top + inner + _BELOW, "margin.t": top, "margin.l": 56, "margin.b": _BELOW}
    narrow["legend.y"] = 1 - 8 / narrow["height"]
    wide: dict[str, Any] = {
        "height": layout.height,
        **{f"margin.{side}": layout.margin[side] for side in "tlb"},
        "legend.y": layout.legend.y,
    }
    for panel in range(panels):
        number = panel + 1 if panel else ""
        high = 1 - panel * panel_height / inner
        low = max(0.0, high - (panel_height - between) / inner)
        narrow |= {f"xaxis{number}.domain": [0, 1], f"yaxis{number}.domain": [round(low, 5), round(high, 5)]}
        narrow |= {f"annotations[{panel}].x": 0.5, f"annotations[{panel}].y": round(high, 5)}
        for axis in (f"xaxis{number}", f"yaxis{number}"):
            wide[f"{axis}.domain"] = list(layout[axis].domain)
        wide |= {f"annotations[{panel}].{way}": layout.annotations[panel][way] for way in ("x", "y")}
    return narrow, wide


def legend_down(figure: "go.Figure") -> Layouts:
    """A legend as a list at the left above the chart on a narrow screen, and how it is on a wide one."""
    layout = figure.layout
    entries = sum(trace.showlegend is not False for trace in figure.data)
    more = _ENTRY * entries
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
