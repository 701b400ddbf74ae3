"""AUC fold by fold, and when each fold's models learned and scored."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.pictures.png_files import new_figure, png
from pipeline.reports.charts import chart, restyle
from pipeline.reports.inputs import PicturedModel, ReportInputs, ShownModel
from pipeline.reports.markup import heads, kept, note, numbers, plain, row, table
from pipeline.reports.section import Picture, Section
from pipeline.reports.theme import FADED, STRATEGY_COLORS

__all__ = ["PICTURE", "SECTION"]

_NOTE = "AUC within each fold, and within all of them, with 95 % intervals; the line at 0.5 is a coin toss."


def _html(inputs: ReportInputs) -> str:
    models = [model for model in inputs.shown_models if model.ranks]
    if not models:
        return _table(inputs)
    figure = _figure(models, simulated=inputs.simulated)
    return note(kept(_NOTE)) + chart(figure, "folds-chart", long_legend=len(models) > 1) + _table(inputs)


def _figure(models: Sequence[ShownModel], *, simulated: bool) -> go.Figure:
    """AUC of every model in every fold and within all of them, with 95 % intervals."""
    figure = go.Figure()
    folds = sorted({fold for model in models for fold in model.judgement.by_fold.index.get_level_values("fold")})
    labels = [*(f"fold {fold}" for fold in folds), "all folds"]
    width = 0.7 / max(1, len(models))
    for number, model in enumerate(models):
        by_fold = model.judgement.by_fold.xs("auc_within_folds", level="metric").reindex(folds)
        rows = pd.concat([by_fold, model.judgement.summary.loc[["auc_within_folds"]]])
        value = rows["value"].to_numpy(np.float64)
        figure.add_trace(
            go.Scatter(
                x=np.arange(len(rows)) + (number - (len(models) - 1) / 2) * width,
                y=value.round(4),
                mode="markers",
                name=plain(model.name),
                marker={"color": model.color, "size": 8},
                error_y={
                    "array": (rows["high"] - value).round(4).to_numpy(),
                    "arrayminus": (value - rows["low"]).round(4).to_numpy(),
                    "color": model.color,
                    "thickness": 1.2,
                    "width": 3,
                },
                text=labels,
                hovertemplate=f"{plain(model.name)}, %{{text}}: AUC %{{y:.3f}}<extra></extra>",
            )
        )
    figure.add_hline(y=0.5, line={"color": FADED, "width": 1})
    figure.add_vline(x=len(folds) - 0.5, line={"color": FADED, "width": 1, "dash": "dot"})
    ticks = [*map(str, folds), "all"]
    figure.update_xaxes(
        tickvals=list(range(len(labels))), ticktext=ticks, range=[-0.6, len(labels) - 0.4], title={"text": "fold"}
    )
    restyle(figure, height=360, simulated=simulated)
    figure.update_yaxes(title={"text": "AUC"}, tickformat=".2f")
    return figure


def _table(inputs: ReportInputs) -> str:
    """Tabulate when each fold's models learned and scored; all families share the folds, so the first one serves."""
    held = next((each.trained_until for each in inputs.models.values() if len(each.trained_until)), pd.Series())
    body = []
    for fold, part in inputs.shown_models[0].judgement.scored.groupby("fold", sort=True):
        scored = f"{part['session'].min():%Y-%m-%d} to {part['session'].max():%Y-%m-%d}"
        until = [f"{held[fold]:%Y-%m-%d}" if fold in held else "–"] * bool(len(held))
        body.append(
            row(f"Fold {fold}", numbers(*until, scored, f"{len(part):,}", f"{100 * part['label'].mean():.1f} %"))
        )
    learned = ["Trained until"] * bool(len(held))
    return table(heads("", *learned, "Scored", "Trades", "Win rate"), body)


def _picture(model: PicturedModel) -> bytes | None:
    judgement = model.judgement
    if judgement.by_fold.empty:
        return None
    folds = judgement.by_fold.index.get_level_values("fold").unique()
    figure = new_figure(8, 3.6)
    panels = figure.subplots(1, 2)
    for axes, metric, label, middle in zip(
        panels, ("auc", "net"), ("AUC", f"net of the trades taken, {model.currency}"), (0.5, 0.0), strict=True
    ):
        rows = judgement.by_fold.xs(metric, level="metric")
        errors = np.stack([rows["value"] - rows["low"], rows["high"] - rows["value"]])
        axes.axhline(middle, color=FADED, linewidth=0.8)
        axes.errorbar(
            np.arange(len(folds)),
            rows["value"],
            yerr=errors,
            color=STRATEGY_COLORS[0],
            fmt="o",
            markersize=5,
            capsize=3,
        )
        axes.set_xticks(np.arange(len(folds)), [f"fold {fold}" for fold in folds])
        axes.set_ylabel(label)
        axes.margins(x=0.1)
    panels[1].yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    panels[0].set_title(f"{model.name}: fold by fold", loc="left", fontsize=10)
    return png(figure)


SECTION = Section(40, "folds", "Fold by fold", _html)
PICTURE = Picture(30, "folds.png", _picture)
