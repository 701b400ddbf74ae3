"""Share of winners by score."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.pictures.png_files import new_figure, png
from pipeline.reports.charts import chart_grid, restyle
from pipeline.reports.inputs import PicturedModel, ReportInputs, ShownModel
from pipeline.reports.markup import kept, note, plain
from pipeline.reports.section import Picture, Section
from pipeline.reports.theme import FADED, STRATEGY_COLORS

__all__ = ["PICTURE", "SECTION"]

_NOTE = (
    "Share of winners by score, in bins of about as many trades each; on the dotted line a score of 40 % wins 40 times "
    "in 100. Error bars are 95 % Wilson intervals, which take trades as independent."
)


def _html(inputs: ReportInputs) -> str:
    models = [model for model in inputs.shown_models if len(model.judgement.calibration)]
    if not models:
        return ""
    ends = _ends(models)
    figures = {plain(model.name): _figure(model, ends, simulated=inputs.simulated) for model in models}
    return note(kept(_NOTE)) + chart_grid(figures, "calibration-chart")


def _ends(models: Sequence[ShownModel]) -> list[float]:
    """Ends of both axes of all charts, percent."""
    drawn = 100 * pd.concat([model.judgement.calibration[["score", "low", "high"]] for model in models])
    return [
        max(0.0, 5 * np.floor((drawn.min(axis=None) - 2) / 5)),
        min(100.0, 5 * np.ceil((drawn.max(axis=None) + 2) / 5)),
    ]


def _figure(model: ShownModel, ends: list[float], *, simulated: bool) -> go.Figure:
    """The share of trades above zero by score with Wilson's 95 % interval, and where it should lie."""
    curve = model.judgement.calibration
    share, score = 100 * curve["share"], 100 * curve["score"]
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(x=ends, y=ends, mode="lines", line={"color": FADED, "width": 1, "dash": "dot"}, hoverinfo="skip")
    )
    figure.add_trace(
        go.Scatter(
            x=score.round(2).to_numpy(),
            y=share.round(2).to_numpy(),
            mode="lines+markers",
            name=plain(model.name),
            line={"color": model.color, "width": 1.2},
            marker={"size": 7},
            error_y={
                "array": (100 * curve["high"] - share).round(2).to_numpy(),
                "arrayminus": (share - 100 * curve["low"]).round(2).to_numpy(),
                "color": model.color,
                "thickness": 1,
                "width": 3,
            },
            customdata=curve["trades"].to_numpy(),
            hovertemplate="score %{x:.1f} %, winners %{y:.1f} %<br>%{customdata} trades<extra></extra>",
        )
    )
    figure.update_xaxes(range=ends, nticks=6, title={"text": "score, %"})
    figure.update_yaxes(range=ends, nticks=6, title={"text": "winners, %"})
    restyle(figure, height=300, simulated=simulated)
    return figure.update_layout(margin={"t": 10}, showlegend=False)


def _picture(model: PicturedModel) -> bytes | None:
    curve = model.judgement.calibration
    if curve.empty:
        return None
    figure = new_figure(5.2, 4.8)
    axes = figure.subplots()
    score, share = 100 * curve["score"], 100 * curve["share"]
    drawn = 100 * curve[["score", "low", "high"]]
    low, high = max(0.0, drawn.min(axis=None) - 3), min(100.0, drawn.max(axis=None) + 3)
    axes.plot([low, high], [low, high], color=FADED, linestyle="dotted", linewidth=1)
    errors = np.stack([share - 100 * curve["low"], 100 * curve["high"] - share])
    axes.errorbar(score, share, yerr=errors, color=STRATEGY_COLORS[0], marker="o", markersize=5, linewidth=1, capsize=3)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="score, %", ylabel="trades above zero, %")
    axes.set_title(
        f"{model.name}: calibration, {int(curve['trades'].sum()):,} trades out of fold", loc="left", fontsize=10
    )
    return png(figure)


SECTION = Section(20, "calibration", "Calibration", _html)
PICTURE = Picture(10, "calibration.png", _picture)
