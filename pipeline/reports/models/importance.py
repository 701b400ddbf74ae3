"""Feature importance, and how far the folds agree on it."""

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.learning.importance import importance_stability, importance_table
from pipeline.performance import format_value
from pipeline.pictures.png_files import new_figure, png
from pipeline.reports.charts import chart_grid, fade, restyle
from pipeline.reports.inputs import PicturedModel, ReportInputs, ShownModel
from pipeline.reports.markup import both, folded, heads, kept, named, note, plain, row, table
from pipeline.reports.model_names import METHOD_NAMES, importance_methods
from pipeline.reports.section import Picture, Section
from pipeline.reports.theme import FADED, STRATEGY_COLORS

__all__ = ["PICTURE", "SECTION"]

_TOP = 15
_TOP_LIST = 20
_FEATURE_HEIGHT = 20
_LONGEST_NAME = 24  # letters of a feature beside its bar; hovering tells the rest
_NOTE = (
    "The top features by mean over the folds; each dot is a fold. Gain is measured on training rows, where noise gains "
    "too. Permutation importance is measured out of fold: how much worse log loss (or AUC, where scores are no "
    "probabilities) becomes when the feature is shuffled; around zero or below, the feature did not help. Features "
    "that can replace each other each show little."
)


def _html(inputs: ReportInputs) -> str:
    held = [model for model in inputs.shown_models if len(model.findings.importance)]
    held = [model for model in held if importance_methods(model.findings.importance)]
    if not held:
        return ""
    parts = [note(_NOTE)]
    for number, model in enumerate(held):
        figures = {
            METHOD_NAMES[method]: _figure(model, method, simulated=inputs.simulated)
            for method in importance_methods(model.findings.importance)
        }
        parts.append(folded(plain(model.name), chart_grid(figures, f"importance-chart-{number}"), shown=not number))
    return "".join(parts) + "<h3>Agreement between folds</h3>" + _stability_table(held)


def _figure(model: ShownModel, method: str, *, simulated: bool) -> go.Figure:
    """The features with the greatest mean over the folds, a dot a fold."""
    importance = model.findings.importance
    first = importance_table(importance).xs(method, level="method").head(_TOP)
    own = importance[(importance["method"] == method) & importance["feature"].isin(first.index)]
    figure = go.Figure()
    figure.add_trace(
        go.Bar(
            x=_rounded(first["mean"]),
            y=[_short(str(name)) for name in first.index],
            orientation="h",
            marker={"color": fade(model.color, 0.45)},
            customdata=[plain(name) for name in first.index],
            hovertemplate="%{customdata}: mean %{x:.4g}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=_rounded(own["value"]),
            y=[_short(str(name)) for name in own["feature"]],
            mode="markers",
            marker={"size": 5, "color": model.color},
            customdata=own["fold"].to_numpy(),
            hovertemplate="fold %{customdata}: %{x:.4g}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": FADED, "width": 1})
    restyle(figure, height=_FEATURE_HEIGHT * _TOP + 66, simulated=simulated)
    figure.update_yaxes(autorange="reversed", tickfont={"size": 10.5})
    figure.update_xaxes(nticks=5)
    return figure.update_layout(margin={"t": 8}, showlegend=False)


def _stability_table(held: list[ShownModel]) -> str:
    body, chance = [], math.nan
    for model in held:
        importance = model.findings.importance
        stability = importance_stability(importance, top=_TOP_LIST)
        chance = float(stability["chance_overlap"].max())
        cells = []
        for method in METHOD_NAMES:
            if method not in importance_methods(importance):
                cells.append(both(""))
                continue
            line = stability.loc[method]
            shared = f"{_percent(line['top_overlap'])} in common"
            cells.append(both(format_value(line["rank_correlation"], ""), shared, words=True))
        body.append(row(named(model.color, model.name), cells))
    caption = (
        "Mean over pairs of folds: rank correlation of the importances (1 is the same order, 0 none), and how many of "
        f"the top {_TOP_LIST} features two folds share ({_percent(chance)} by chance). Training rows of walk-forward "
        "folds overlap, so measures on them agree to some extent anyway."
    )
    return table(heads("", *METHOD_NAMES.values(), kind="both"), body, kept(caption), even=True)


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"


def _rounded(values: pd.Series) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _short(name: str) -> str:
    return plain(name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…")


def _picture(model: PicturedModel) -> bytes | None:
    importance = model.importance
    if importance.empty:
        return None
    methods = importance_methods(importance)
    if not methods:
        return None
    table = importance_table(importance)
    figure = new_figure(4.4 * len(methods), 4.6)
    for axes, method in zip(np.atleast_1d(figure.subplots(1, len(methods))), methods, strict=True):
        first = table.xs(method, level="method").head(_TOP)
        rows = {feature: row for row, feature in enumerate(first.index)}
        axes.barh(list(rows.values()), first["mean"], color=STRATEGY_COLORS[0], alpha=0.45)
        own = importance[(importance["method"] == method) & importance["feature"].isin(first.index)]
        axes.scatter(own["value"], own["feature"].map(rows), s=9, color=STRATEGY_COLORS[0], zorder=3)
        axes.axvline(0, color=FADED, linewidth=0.8)
        axes.set_yticks(list(rows.values()), list(rows))
        axes.invert_yaxis()
        axes.set_title(METHOD_NAMES[method], fontsize=9)
        axes.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
    figure.suptitle(
        f"{model.name}: feature importance, mean over the folds, a dot a fold", x=0.01, ha="left", fontsize=10
    )
    return png(figure, label_size=6.5)


SECTION = Section(60, "importance", "Feature importance", _html)
PICTURE = Picture(50, "importance.png", _picture)
