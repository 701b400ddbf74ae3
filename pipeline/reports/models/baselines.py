"""Every model against the baselines, on the same trades and resamples."""

import numpy as np
import pandas as pd

from pipeline.performance import compare_models, format_line
from pipeline.pictures.png_files import new_figure, png
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import both, heads, kept, named, note, row, table
from pipeline.reports.model_names import family_name
from pipeline.reports.section import Section
from pipeline.reports.theme import BAD, FADED, GOOD, INK

__all__ = ["SECTION", "differences_picture", "model_differences"]

_COLUMNS = {
    "log_loss": "Log loss",
    "brier_score": "Brier score",
    "auc_within_folds": "AUC within folds",
    "net": "Net, one contract",
    "mean_r": "Mean R",
}
_SHOWN = {"log_loss": "Log loss, less is better", "auc_within_folds": "AUC, more is better"}
_NOTE = (
    "The model minus the baseline on the same trades and the same resampled sessions, so that what both share cancels. "
    "Lower is better for log loss and Brier score, higher for the rest. Green is better and red worse by the 95 % "
    "interval; by chance alone one in twenty is coloured."
)
_COLORS = {"better": GOOD, "worse": BAD}


def model_differences(inputs: ReportInputs) -> pd.DataFrame:
    """From :func:`pipeline.performance.compare_models`, as they are given or worked out."""
    if len(inputs.model_differences):
        return inputs.model_differences
    models = inputs.shown_models
    return compare_models(
        {model.family: model.judgement.scored for model in models},
        probabilistic={model.family: model.judgement.probabilistic for model in models},
        currency=inputs.currency,
    )


def _html(inputs: ReportInputs) -> str:
    differences = model_differences(inputs)
    if differences.empty:
        return note(
            "No baseline was trained beside these models, so there is nothing to compare them with: add constant and "
            "logistic to the families."
        )
    colors = {model.family: model.color for model in inputs.shown_models}
    body = []
    for (family, baseline), part in differences.groupby(level=["family", "baseline"], sort=False):
        lines = part.droplevel(["family", "baseline"])
        cells = []
        for metric in _COLUMNS:
            line = lines.loc[metric].replace("nats", "")
            value, ends = format_line(line)
            few = "" if ends or "too few" not in line["note"] else "too few trades"
            cells.append(both(value, ends or few, words=not ends, color=_COLORS.get(line["better"], "")))
        pair = f"{family_name(family)} minus {_lowered(family_name(baseline))}"
        body.append(row(named(colors.get(family, FADED), pair), cells))
    return table(heads("", *_COLUMNS.values(), kind="both"), body, kept(_NOTE), even=True)


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
        for place, pair in enumerate(pairs):
            if (*pair, metric) not in held.index:
                continue
            line = held.sort_index().loc[(*pair, metric)]
            color = _COLORS.get(line["better"], INK)
            axes.plot([line["low"], line["high"]], [place, place], color=color, linewidth=1.4)
            axes.plot(line["value"], place, "o", color=color, markersize=5)
        axes.set_title(_SHOWN[metric], fontsize=9)
    labels = [f"{family_name(family)} minus {_lowered(family_name(baseline))}" for family, baseline in pairs]
    panels[0].set_yticks(range(len(pairs)), labels)
    panels[0].set_ylim(len(pairs) - 0.5, -0.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return png(figure)


def _lowered(name: str) -> str:
    return name if name.isupper() else name[0].lower() + name[1:]


SECTION = Section(10, "baselines", "Against the baselines", _html)
