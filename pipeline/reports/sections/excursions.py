"""How far price ran against and for each trade."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from pipeline.performance import format_value
from pipeline.reports.charts import chart, restyle
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import kept, note, plain
from pipeline.reports.section import Section
from pipeline.reports.theme import BAD, FADED, GOOD

__all__ = ["SECTION", "excursion_figure"]

_FURTHEST = 6.0  # R, beyond which a favourable excursion is drawn at the edge
_EXCURSIONS = (
    "Each trade's worst and best price while it was held, in R: maximum adverse excursion (MAE) across, maximum "
    "favourable excursion (MFE) up. Filled dots made money, hollow ones did not. Losers high in the picture had been "
    "well ahead; winners far to the right had nearly been stopped. Only prices that the position certainly saw count: "
    "of an entry inside a bar, that bar's adverse extreme and, where the trade outlived it, its close; of the bar of a "
    "stop or target, its open; of both, the fills. So each value is the least it can have been ({exact})."
)


def _html(inputs: ReportInputs) -> str:
    every = pd.concat(inputs.trades.values())
    if every.empty:
        return note("No trades.")
    parts = [f"{100 * every[f'{name}_exact'].mean():.0f} % of the {name.upper()}s are exact" for name in ("mae", "mfe")]
    text = kept(_EXCURSIONS.format(exact=" and ".join(parts)))
    return note(text) + chart(excursion_figure(inputs), "excursions-chart", long_legend=True)


def excursion_figure(inputs: ReportInputs) -> go.Figure:
    """A dot a trade; only the first strategy of interest is shown until others are chosen in the legend."""
    trades = inputs.trades
    figure = go.Figure()
    names = [name for name in inputs.by_interest if len(trades[name])]
    for place, name in enumerate(names):
        color = inputs.colors[name]
        won = trades[name]["pnl"] > 0
        for frame, filled in ((trades[name][won], True), (trades[name][~won], False)):
            figure.add_trace(
                go.Scatter(
                    x=frame["mae"].round(3).to_numpy(),
                    y=frame["mfe"].clip(upper=_FURTHEST).round(3).to_numpy(),
                    mode="markers",
                    name=plain(name),
                    legendgroup=name,
                    showlegend=filled,
                    visible=True if place == 0 else "legendonly",
                    text=[_outcome(inputs, trade) for trade in frame.itertuples()],
                    customdata=frame["mfe"].round(2).to_numpy(),
                    marker={
                        "size": 7,
                        "opacity": 0.8,
                        "color": color if filled else "#fff",
                        "line": {"width": 1.2, "color": color},
                    },
                    cliponaxis=False,
                    hovertemplate=f"{plain(name)}<br>%{{text}}<br>MAE %{{x:.2f}} R, MFE %{{customdata:.2f}} R"
                    "<extra></extra>",
                )
            )
    figure.add_vline(
        x=1, line={"color": BAD, "width": 1, "dash": "dot"}, annotation_text="stop", annotation_font_size=11
    )
    figure.add_hline(
        y=2, line={"color": GOOD, "width": 1, "dash": "dot"}, annotation_text="2 R", annotation_font_size=11
    )
    figure.update_xaxes(title={"text": "MAE, R"}, rangemode="tozero", linecolor=FADED)
    restyle(figure, height=430, simulated=inputs.simulated)
    figure.update_layout(margin={"t": 56})
    figure.update_yaxes(title={"text": "MFE, R"}, rangemode="tozero")
    return figure


def _outcome(inputs: ReportInputs, trade: Any) -> str:
    result = f"{plain(format_value(trade.pnl, inputs.currency))}, {format_value(trade.r_multiple, 'R')}"
    return f"{trade.session:%Y-%m-%d} {trade.side}, {result}"


SECTION = Section(130, "excursions", "Excursions", _html)
