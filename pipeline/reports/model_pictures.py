"""Still pictures of a trained model, as PNG files: for MLflow, and by Markdown for asset metadata."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.learning.importance import importance_table
from pipeline.performance import FEWEST_TRADES, ModelJudgement
from pipeline.pictures.stills import new_figure, png
from pipeline.reports.model_names import METHOD_NAMES, family_name, importance_methods
from pipeline.reports.theme import BAD, FADED, GOOD, INK, STRATEGY_COLORS

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = [
    "calibration_picture",
    "differences_picture",
    "folds_picture",
    "importance_picture",
    "model_pictures",
    "scores_picture",
    "threshold_picture",
    "training_picture",
]

_COLOR = STRATEGY_COLORS[0]
_TOP = 15
_COLUMNS = 3
_SHOWN = {"log_loss": "Log loss, less is better", "auc_within_folds": "AUC, more is better"}


def model_pictures(
    judgement: ModelJudgement,
    name: str,
    *,
    currency: str = "$",
    importance: pd.DataFrame | None = None,
    logs: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, bytes]:
    """Every picture there is something to draw for.

    Parameters
    ----------
    judgement
        From :func:`pipeline.performance.judge_model`.
    name
        What the model is called in the titles, such as ``ES lightgbm``.
    currency
        Unit of money.
    importance
        From :func:`pipeline.learning.importance.walk_forward_importance`.
    logs
        Training log by fit (``fold_1`` … ``final``), indexed by step.

    Returns
    -------
    dict
        File name → PNG: ``calibration.png``, ``thresholds.png``, ``folds.png``, ``scores.png``, ``importance.png``,
        ``training.png``.
    """
    drawn = {
        "calibration.png": calibration_picture(judgement, name),
        "thresholds.png": threshold_picture(judgement, name, currency=currency),
        "folds.png": folds_picture(judgement, name, currency=currency),
        "scores.png": scores_picture(judgement, name),
        "importance.png": None if importance is None else importance_picture(importance, name),
        "training.png": None if logs is None else training_picture(logs, name),
    }
    return {file: picture for file, picture in drawn.items() if picture is not None}


def calibration_picture(judgement: ModelJudgement, name: str) -> bytes | None:
    """Share above zero by score with Wilson's 95 % interval; None where scores are no probabilities."""
    curve = judgement.calibration
    if curve.empty:
        return None
    figure = new_figure(5.2, 4.8)
    axes = figure.subplots()
    score, share = 100 * curve["score"], 100 * curve["share"]
    drawn = 100 * curve[["score", "low", "high"]]
    low, high = max(0.0, drawn.min(axis=None) - 3), min(100.0, drawn.max(axis=None) + 3)
    axes.plot([low, high], [low, high], color=FADED, linestyle="dotted", linewidth=1)
    errors = np.stack([share - 100 * curve["low"], 100 * curve["high"] - share])
    axes.errorbar(score, share, yerr=errors, color=_COLOR, marker="o", markersize=5, linewidth=1, capsize=3)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="score, %", ylabel="trades above zero, %")
    _title(axes, f"{name}: calibration, {int(curve['trades'].sum()):,} trades out of fold")
    return png(figure)


def threshold_picture(judgement: ModelJudgement, name: str, *, currency: str = "$") -> bytes | None:
    """Net result of one contract each and the share above zero, by threshold; None without a scored trade."""
    curve = judgement.thresholds
    if curve.empty:
        return None
    figure = new_figure(8, 5.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    known = curve.dropna(subset=["net_low", "net_high"])
    upper.fill_between(known["threshold"], known["net_low"], known["net_high"], color=_COLOR, alpha=0.15, linewidth=0)
    upper.plot(curve["threshold"], curve["net"], color=_COLOR, drawstyle="steps-pre", linewidth=1.5)
    upper.axhline(0, color=FADED, linewidth=0.8)
    upper.set_ylabel(f"net, {currency}")
    upper.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    enough = curve[curve["trades"] >= FEWEST_TRADES]
    lower.plot(enough["threshold"], 100 * enough["precision"], color=_COLOR, drawstyle="steps-pre", linewidth=1.5)
    lower.axhline(100 * judgement.scored["label"].mean(), color=FADED, linewidth=0.8)
    lower.set(ylabel="above zero, %", xlabel="threshold")
    for axes in (upper, lower):
        for threshold in np.unique(judgement.scored["threshold"].round(4)):
            axes.axvline(threshold, color=INK, linestyle="dotted", linewidth=0.9)
    _title(upper, f"{name}: every trade at or above a threshold, one contract each; dotted: in use")
    return png(figure)


def folds_picture(judgement: ModelJudgement, name: str, *, currency: str = "$") -> bytes | None:
    """AUC and net result by fold with 95 % intervals; None without a scored trade."""
    if judgement.by_fold.empty:
        return None
    folds = judgement.by_fold.index.get_level_values("fold").unique()
    figure = new_figure(8, 3.6)
    panels = figure.subplots(1, 2)
    for axes, metric, label, middle in zip(
        panels, ("auc", "net"), ("AUC", f"net of the trades taken, {currency}"), (0.5, 0.0), strict=True
    ):
        rows = judgement.by_fold.xs(metric, level="metric")
        errors = np.stack([rows["value"] - rows["low"], rows["high"] - rows["value"]])
        axes.axhline(middle, color=FADED, linewidth=0.8)
        axes.errorbar(np.arange(len(folds)), rows["value"], yerr=errors, color=_COLOR, fmt="o", markersize=5, capsize=3)
        axes.set_xticks(np.arange(len(folds)), [f"fold {fold}" for fold in folds])
        axes.set_ylabel(label)
        axes.margins(x=0.1)
    panels[1].yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _title(panels[0], f"{name}: fold by fold")
    return png(figure)


def scores_picture(judgement: ModelJudgement, name: str) -> bytes | None:
    """Every out-of-fold score by session, winners filled; None without a scored trade."""
    scored = judgement.scored.sort_values("start")
    if scored.empty:
        return None
    figure = new_figure(9, 3.4)
    axes = figure.subplots()
    won = scored["label"] > 0
    lost = scored[~won]
    axes.scatter(
        lost["session"], lost["score"], s=10, facecolors="none", edgecolors=FADED, linewidths=0.7, label="at or below 0"
    )
    axes.scatter(scored.loc[won, "session"], scored.loc[won, "score"], s=10, color=_COLOR, label="above 0")
    axes.plot(scored["session"], scored["threshold"], color=INK, linestyle="dotted", linewidth=0.9)
    for first in scored.groupby("fold")["session"].min():
        axes.axvline(first, color=FADED, linewidth=0.7)
    axes.set_ylabel("score")
    axes.legend(loc="upper right", fontsize=7, frameon=True, framealpha=0.8, edgecolor="none", ncols=2)
    _title(axes, f"{name}: out-of-fold scores; lines: folds, dotted: threshold")
    return png(figure)


def importance_picture(importance: pd.DataFrame, name: str) -> bytes | None:
    """The features with the greatest mean over the folds, by each measure, a dot a fold; None where none matters."""
    methods = importance_methods(importance)
    if not methods:
        return None
    table = importance_table(importance)
    figure = new_figure(4.4 * len(methods), 4.6)
    for axes, method in zip(np.atleast_1d(figure.subplots(1, len(methods))), methods, strict=True):
        first = table.xs(method, level="method").head(_TOP)
        rows = {feature: row for row, feature in enumerate(first.index)}
        axes.barh(list(rows.values()), first["mean"], color=_COLOR, alpha=0.45)
        own = importance[(importance["method"] == method) & importance["feature"].isin(first.index)]
        axes.scatter(own["value"], own["feature"].map(rows), s=9, color=_COLOR, zorder=3)
        axes.axvline(0, color=FADED, linewidth=0.8)
        axes.set_yticks(list(rows.values()), list(rows))
        axes.invert_yaxis()
        axes.set_title(METHOD_NAMES[method], fontsize=9)
        axes.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
    figure.suptitle(f"{name}: what it looks at, mean over the folds, a dot a fold", x=0.01, ha="left", fontsize=10)
    return png(figure, label_size=6.5)


def training_picture(logs: Mapping[str, pd.DataFrame], name: str) -> bytes | None:
    """Losses by step of every fit; None where no fit has any."""
    losses = {fit: log[[column for column in log.columns if "loss" in str(column)]] for fit, log in logs.items()}
    losses = {fit: log for fit, log in losses.items() if log.notna().any(axis=None)}
    if not losses:
        return None
    names = list(dict.fromkeys(str(column) for log in losses.values() for column in log.columns))
    rows = -(-len(losses) // _COLUMNS)
    figure = new_figure(9, 2.5 * rows + 0.5)
    panels = np.atleast_1d(figure.subplots(rows, min(_COLUMNS, len(losses)))).ravel()
    for axes, (fit, log) in zip(panels, losses.items(), strict=False):
        for column, color in zip(names, STRATEGY_COLORS, strict=False):
            for part, style in _stages(log, column):
                label = column.replace("_", " ") + (", refit" if style == "dashed" else "")
                axes.plot(part.index, part, color=color, linestyle=style, linewidth=1.1, label=label)
        axes.set_title(fit.replace("_", " "), fontsize=8)
    for axes in panels[len(losses) :]:
        axes.set_visible(False)
    handles: dict[str, Artist] = {}
    for axes in panels:
        handles |= {label: line for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside lower left", fontsize=8, frameon=False, ncols=4)
    figure.suptitle(f"{name}: loss by step", x=0.01, ha="left", fontsize=10)
    return png(figure, label_size=7)


def _stages(log: pd.DataFrame, column: str) -> Iterator[tuple[pd.Series, str]]:
    """A loss before and after the last step that was validated: what follows is the fit on all rows."""
    if column not in log:
        return
    last = log["validation_loss"].last_valid_index() if "validation_loss" in log else None
    values = log[column].dropna()
    if last is None or column == "validation_loss" or column.startswith("refit_"):
        yield values, "solid"
        return
    yield values.loc[:last], "solid"
    if len(after := values.loc[last:].iloc[1:]):
        yield after, "dashed"


def differences_picture(differences: pd.DataFrame, title: str) -> bytes | None:
    """Draw each family's difference from the baselines, with 95 % intervals; None where nothing was compared."""
    held = differences[differences["value"].notna()]
    shown = [metric for metric in _SHOWN if metric in held.index.get_level_values("metric")]
    if not shown:
        return None
    pairs = list(dict.fromkeys((family, baseline) for family, baseline, _ in held.index))
    figure = new_figure(9, 1.1 + 0.3 * len(pairs))
    panels = np.atleast_1d(figure.subplots(1, len(shown), sharey=True))
    for axes, metric in zip(panels, shown, strict=True):
        axes.axvline(0, color=FADED, linewidth=0.8)
        for row, pair in enumerate(pairs):
            if (*pair, metric) not in held.index:
                continue
            line = held.sort_index().loc[(*pair, metric)]
            color = {"better": GOOD, "worse": BAD}.get(line["better"], INK)
            axes.plot([line["low"], line["high"]], [row, row], color=color, linewidth=1.4)
            axes.plot(line["value"], row, "o", color=color, markersize=5)
        axes.set_title(_SHOWN[metric], fontsize=9)
    labels = [f"{family_name(family)} less {family_name(baseline).lower()}" for family, baseline in pairs]
    panels[0].set_yticks(range(len(pairs)), labels)
    panels[0].set_ylim(len(pairs) - 0.5, -0.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return png(figure)


def _title(axes: "Axes", text: str) -> None:
    axes.set_title(text, loc="left", fontsize=10)
