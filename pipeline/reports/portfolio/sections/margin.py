"""How much of the equity the positions' margin took, over time."""

import math

import numpy as np
import plotly.graph_objects as go

from pipeline.performance import format_value, margin_by_session, margin_use
from pipeline.reports.charts import chart, fade
from pipeline.reports.markup import kept, note
from pipeline.reports.portfolio.inputs import PortfolioInputs
from pipeline.reports.section import Section
from pipeline.reports.theme import BAD, STRATEGY_COLORS

__all__ = ["SECTION", "margin_figure"]


def _html(inputs: PortfolioInputs) -> str:
    used = margin_use(inputs.result)
    if not used["held_share"]:
        return note("No position was held at the end of any bar.")
    facts = {
        "Most": _percent(used["most"]),
        "Mean while a position is held": _percent(used["mean_while_held"]),
        "Time with a position": _percent(used["held_share"]),
        "Positions closed by a margin call": f"{int(used['calls']):,}",
    }
    shown = "".join(f"<div><dt>{name}</dt><dd>{kept(value)}</dd></div>" for name, value in facts.items())
    text = (
        "Maintenance margin of all positions as a share of equity, the most in each session. Time is counted by the "
        "opens of all books' bars; a position opened and closed within one bar takes no margin here. Where the line "
        "would pass 100 %, every position is called."
    )
    return f'<dl class="facts">{shown}</dl>' + note(kept(text)) + chart(margin_figure(inputs), "margin-chart")


def _percent(share: float) -> str:
    return "more than all equity" if math.isinf(share) else format_value(100 * share, "%")


def margin_figure(inputs: PortfolioInputs) -> go.Figure:
    """Most margin of each session in percent of equity, with a line at 100 % where it comes near."""
    share = 100 * margin_by_session(inputs.result)["share"].replace(np.inf, np.nan)
    color = STRATEGY_COLORS[0]
    figure = go.Figure(
        go.Scatter(
            x=share.index.strftime("%Y-%m-%d").tolist(),
            y=share.round(2).to_numpy(),
            line={"color": color, "width": 1, "shape": "hvh"},
            fill="tozeroy",
            fillcolor=fade(color, 0.2),
            hovertemplate="%{x}<br>%{y:.1f} % of equity<extra></extra>",
        )
    )
    if share.max() > 60:
        figure.add_hline(y=100, line={"color": BAD, "dash": "dash", "width": 1})
    inputs.restyle(figure, 300)
    figure.update_yaxes(title={"text": "Margin, % of equity"}, rangemode="tozero")
    return figure


SECTION = Section(70, "margin", "Margin in use", _html)
