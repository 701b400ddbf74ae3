"""Every out-of-fold score by session."""

from typing import Any

import plotly.graph_objects as go

from pipeline.pictures.png_files import new_figure, png
from pipeline.reports.charts import chart_grid, restyle
from pipeline.reports.inputs import PicturedModel, ReportInputs, ShownModel
from pipeline.reports.markup import note, plain
from pipeline.reports.section import Picture, Section
from pipeline.reports.theme import FADED, INK, MUTED, STRATEGY_COLORS

__all__ = ["PICTURE", "SECTION"]

_NOTE = (
    "Filled dots are winners, hollow ones losers; the dotted line is the threshold. A model that tells them apart has "
    "its filled dots on top."
)
_WIDTH = 640  # pixels: two side by side would be too narrow for years of trades


def _html(inputs: ReportInputs) -> str:
    models = [model for model in inputs.shown_models if model.ranks]
    if not models:
        return ""
    figures = {plain(model.name): _figure(model, simulated=inputs.simulated) for model in models}
    return note(_NOTE) + chart_grid(figures, "scores-chart", least_width=_WIDTH)


def _figure(model: ShownModel, *, simulated: bool) -> go.Figure:
    """Scores by session, winners filled, with the threshold and the folds."""
    scored = model.judgement.scored.sort_values("start")
    figure = go.Figure()
    looks: tuple[tuple[float, str, dict[str, Any]], ...] = (
        (0.0, "loser", {"color": "#fff", "line": {"width": 1, "color": FADED}}),
        (1.0, "winner", {"color": model.color, "line": {"width": 0}}),
    )
    for label, name, look in looks:
        part = scored[scored["label"] == label]
        figure.add_trace(
            go.Scatter(
                x=part["session"].dt.strftime("%Y-%m-%d").tolist(),
                y=part["score"].round(4).to_numpy(),
                mode="markers",
                name=name,
                marker={"size": 5, "opacity": 0.75, **look},
                hovertemplate=f"%{{x}}: %{{y:.3f}}, {name}<extra>{plain(model.name)}</extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=scored["session"].dt.strftime("%Y-%m-%d").tolist(),
            y=scored["threshold"].round(4).to_numpy(),
            mode="lines",
            hoverinfo="skip",
            line={"color": INK, "width": 1, "dash": "dot", "shape": "hv"},
        )
    )
    restyle(figure, height=220, simulated=simulated)
    for fold, session in scored.groupby("fold")["session"].min().items():
        at = f"{session:%Y-%m-%d}"
        figure.add_shape(type="line", x0=at, x1=at, y0=0, y1=1, yref="y domain", line={"color": FADED, "width": 1})
        figure.add_annotation(
            text=f"fold {fold}",
            x=at,
            y=1,
            yref="y domain",
            xanchor="left",
            yanchor="top",
            showarrow=False,
            font={"size": 10.5, "color": MUTED},
        )
    figure.update_yaxes(title={"text": "score"}, nticks=5, tickformat=".2f")
    return figure.update_layout(margin={"t": 8}, showlegend=False)


def _picture(model: PicturedModel) -> bytes | None:
    scored = model.judgement.scored.sort_values("start")
    if scored.empty:
        return None
    figure = new_figure(9, 3.4)
    axes = figure.subplots()
    won = scored["label"] > 0
    lost = scored[~won]
    axes.scatter(
        lost["session"], lost["score"], s=10, facecolors="none", edgecolors=FADED, linewidths=0.7, label="at or below 0"
    )
    axes.scatter(scored.loc[won, "session"], scored.loc[won, "score"], s=10, color=STRATEGY_COLORS[0], label="above 0")
    axes.plot(scored["session"], scored["threshold"], color=INK, linestyle="dotted", linewidth=0.9)
    for first in scored.groupby("fold")["session"].min():
        axes.axvline(first, color=FADED, linewidth=0.7)
    axes.set_ylabel("score")
    axes.legend(loc="upper right", fontsize=7, frameon=True, framealpha=0.8, edgecolor="none", ncols=2)
    axes.set_title(f"{model.name}: out-of-fold scores; lines: folds, dotted: threshold", loc="left", fontsize=10)
    return png(figure)


SECTION = Section(50, "scores", "Scores over time", _html)
PICTURE = Picture(40, "scores.png", _picture)
