"""Net profit of all trades scored at or above each threshold."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.performance import FEWEST_TRADES, ModelJudgement
from pipeline.pictures.png_files import new_figure, png
from pipeline.reports.charts import chart_grid, fade, money_ticks, restyle
from pipeline.reports.inputs import PicturedModel, ReportInputs, ShownModel
from pipeline.reports.markup import kept, note, plain
from pipeline.reports.section import Picture, Section
from pipeline.reports.theme import FADED, INK, STRATEGY_COLORS

__all__ = ["PICTURE", "SECTION", "threshold_figure"]

_NOTE = (
    "Net result of all trades scored at or above a threshold, one contract each, with its 95 % interval from "
    f"{FEWEST_TRADES} trades on. Dotted lines are the thresholds in use, with the number of the fold. The best point "
    "of such a curve is found with hindsight and lies high even for a model that knows nothing: it is no threshold to "
    "trade by."
)


def _html(inputs: ReportInputs) -> str:
    models = [model for model in inputs.shown_models if model.ranks]
    if not models:
        return ""
    figures = {
        plain(model.name): threshold_figure(model, inputs.currency, simulated=inputs.simulated) for model in models
    }
    # One scale for all, so that models can be compared.
    drawn = pd.concat([model.judgement.thresholds[["net", "net_low", "net_high"]] for model in models])
    low, high = min(0.0, float(drawn.min(axis=None))), max(0.0, float(drawn.max(axis=None)))
    edge = 0.06 * (high - low) or 1.0
    for figure in figures.values():
        figure.update_yaxes(range=[round(low - edge), round(high + edge)])
    return note(kept(_NOTE)) + chart_grid(figures, "threshold-chart")


def threshold_figure(model: ShownModel, currency: str, *, simulated: bool) -> go.Figure:
    """The net result of one contract each, with the interval, by threshold; the folds' own are marked."""
    curve = model.judgement.thresholds
    known = curve.dropna(subset=["net_low", "net_high"])
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=np.r_[known["threshold"], known["threshold"][::-1]].round(4),
            y=np.r_[known["net_high"], known["net_low"][::-1]].round(0),
            mode="lines",
            fill="toself",
            fillcolor=fade(model.color),
            line={"width": 0},
            hoverinfo="skip",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=curve["threshold"].round(4).to_numpy(),
            y=curve["net"].round(2).to_numpy(),
            mode="lines+markers" if len(curve) == 1 else "lines",
            name=plain(model.name),
            line={"color": model.color, "width": 1.8, "shape": "vh"},
            customdata=np.stack(
                [curve["trades"], (100 * curve["precision"]).round(1), curve["mean_r"].round(3)], axis=1
            ),
            hovertemplate=f"score at least %{{x:.3f}}: {plain(currency)}%{{y:,.0f}}<br>%{{customdata[0]}} trades, "
            "%{customdata[1]:.1f} % winners, mean %{customdata[2]:.2f} R<extra></extra>",
        )
    )
    figure.add_hline(y=0, line={"color": FADED, "width": 1})
    restyle(figure, height=300, simulated=simulated)
    for height, (threshold, folds) in enumerate(_fold_thresholds(model.judgement).items()):
        figure.add_vline(
            x=threshold,
            line={"color": INK, "width": 1, "dash": "dot"},
            annotation={"text": folds, "font": {"size": 10}, "yshift": -12 * (height % 2), "xshift": 1},
            annotation_position="top right",
        )
    figure.update_xaxes(nticks=6, title={"text": "score threshold"})
    figure.update_yaxes(title={"text": "net profit"}, tickformat=money_ticks(currency))
    return figure.update_layout(margin={"t": 10}, showlegend=False)


def _fold_thresholds(judgement: ModelJudgement) -> dict[float, str]:
    """Thresholds in use, rising, with the folds that used each."""
    used = judgement.scored.groupby("fold")["threshold"].first().round(4)
    folds = used.index.to_series().groupby(used).agg(lambda numbers: ", ".join(map(str, numbers)))
    return {float(str(threshold)): str(text) for threshold, text in folds.items()}


def _picture(model: PicturedModel) -> bytes | None:
    judgement = model.judgement
    curve = judgement.thresholds
    if curve.empty:
        return None
    figure = new_figure(8, 5.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    known = curve.dropna(subset=["net_low", "net_high"])
    upper.fill_between(
        known["threshold"], known["net_low"], known["net_high"], color=STRATEGY_COLORS[0], alpha=0.15, linewidth=0
    )
    upper.plot(curve["threshold"], curve["net"], color=STRATEGY_COLORS[0], drawstyle="steps-pre", linewidth=1.5)
    upper.axhline(0, color=FADED, linewidth=0.8)
    upper.set_ylabel(f"net, {model.currency}")
    upper.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    enough = curve[curve["trades"] >= FEWEST_TRADES]
    lower.plot(
        enough["threshold"], 100 * enough["precision"], color=STRATEGY_COLORS[0], drawstyle="steps-pre", linewidth=1.5
    )
    lower.axhline(100 * judgement.scored["label"].mean(), color=FADED, linewidth=0.8)
    lower.set(ylabel="above zero, %", xlabel="threshold")
    for axes in (upper, lower):
        for threshold in np.unique(judgement.scored["threshold"].round(4)):
            axes.axvline(threshold, color=INK, linestyle="dotted", linewidth=0.9)
    title = f"{model.name}: every trade at or above a threshold, one contract each; dotted: in use"
    upper.set_title(title, loc="left", fontsize=10)
    return png(figure)


SECTION = Section(30, "thresholds", "Net profit by threshold", _html)
PICTURE = Picture(20, "thresholds.png", _picture)
