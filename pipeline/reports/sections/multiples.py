"""The spread of R multiples."""

import numpy as np
import plotly.graph_objects as go

from pipeline.reports.charts import chart, restyle
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import note, plain
from pipeline.reports.section import Section
from pipeline.reports.theme import FADED

__all__ = ["SECTION", "multiples_figure"]

_LOWEST, _HIGHEST, _STEP = -2.0, 4.0, 0.25


def _html(inputs: ReportInputs) -> str:
    if not any(len(result.trades) for result in inputs.results.values()):
        return note("No trades.")
    text = (
        "Result of each trade divided by what its order put at risk. A full stop is a little worse than −1 R, because "
        "of slippage and commission; a target is about 2 R or more before costs."
    )
    return note(text) + chart(multiples_figure(inputs), "multiples-chart")


def multiples_figure(inputs: ReportInputs) -> go.Figure:
    """Share of trades by R multiple, in steps of a quarter; the last bars hold all beyond them."""
    edges = np.arange(_LOWEST, _HIGHEST + _STEP / 2, _STEP)
    middles = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure()
    for name, result in inputs.results.items():
        values = result.trades["r_multiple"].to_numpy(dtype=np.float64)
        # Nudged inward, so that a result right at the outer edge stays in the last bar.
        counts = np.histogram(np.clip(values, _LOWEST, _HIGHEST - 1e-9), edges)[0]
        figure.add_trace(
            go.Bar(
                x=middles,
                y=(100 * counts / max(1, len(values))).round(3),
                name=plain(name),
                marker={"color": inputs.colors[name]},
                customdata=np.stack([edges[:-1], edges[1:], counts], axis=1),
                hovertemplate=f"{plain(name)}<br>%{{customdata[0]:.2f}} to %{{customdata[1]:.2f}} R: "
                "%{customdata[2]} trades, %{y:.1f} %<extra></extra>",
            )
        )
    figure.update_xaxes(
        title={"text": "R multiple after costs"}, dtick=1, tickangle=0, range=[_LOWEST, _HIGHEST], minor={"dtick": 0.5}
    )
    restyle(figure, height=340, simulated=inputs.simulated)
    figure.add_vline(x=0, line={"color": FADED, "width": 1})
    figure.update_layout(bargap=0.12, bargroupgap=0.05)
    figure.update_yaxes(title={"text": "Trades, %"})
    return figure


SECTION = Section(120, "multiples", "R multiples", _html)
