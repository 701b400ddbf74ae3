"""The report's section on models: what their out-of-fold scores were worth, beside chance, rules and baselines."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.learning.importance import importance_stability
from pipeline.performance import (
    BASELINES,
    FEWEST_TRADES,
    MODEL_DIGITS,
    NO_EDGE_BY_ITSELF,
    ModelJudgement,
    baseline_verdict,
    compare_models,
    format_interval,
    format_value,
    model_summary,
    model_verdict,
)
from pipeline.reports.inputs import ModelFindings, ReportInputs
from pipeline.reports.markup import both, cell, kept, plain, row, table
from pipeline.reports.model_charts import (
    calibration_figure,
    fold_figure,
    history_figure,
    importance_figure,
    importance_height,
    threshold_figure,
)
from pipeline.reports.model_names import METHOD_NAMES, family_colors, family_name, importance_methods
from pipeline.reports.session_panels import PANEL_HEIGHT
from pipeline.reports.stacking import legend_down, stacked
from pipeline.reports.theme import BAD, FADED, GOOD, STRATEGY_COLORS, figure_html

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["model_section", "overall_verdict"]

_COLUMNS = {
    "auc_within_folds": "AUC within folds",
    "auc": "AUC, all pairs",
    "log_loss": "Log loss",
    "brier_score": "Brier score",
    "trades_taken": "Trades taken",
    "precision": "Win rate",
    "net": "Net, one contract",
    "mean_r": "Mean R",
}
_DIFFERENCES = {
    "log_loss": "Log loss",
    "brier_score": "Brier score",
    "auc_within_folds": "AUC within folds",
    "net": "Net, one contract",
    "mean_r": "Mean R",
}
_LEARNED = {
    "train_rows": "Training trades",
    "trained_until": "Trained until",
    "purged": "Purged",
    "embargoed": "Embargoed",
}
_TOP_LIST = 20
_OF_MONEY = ("trades_taken", "precision", "net", "mean_r")
_ABOUT = (
    "Every score is out of sample: the model was trained only on trades whose outcome was known before the decision it "
    "scores (walk-forward, purged). Each filled candidate counts once, with one contract, whether or not the account "
    "had room for it; the backtests above trade the same signals by the account's rules, and with require_rules only "
    "those that are rule signals too. AUC is the probability that a winner scores above a loser; 0.5 is a coin toss. "
    "Within folds it compares trades scored by one model, and the verdict goes by it. Over all pairs (auc in "
    "MLflow) it also compares scores of different folds' models, which lie at different levels: that pulls it a little "
    "below 0.5 even for a model that knows nothing."
)
_COMPARED = (
    "The model minus the baseline on the same trades and the same resampled sessions, so that what both share cancels. "
    "Lower is better for log loss and Brier score, higher for the rest. Green is better and red worse by the 95 % "
    "interval; by chance alone one in twenty is coloured."
)
_CALIBRATION = (
    "Share of winners by score, in bins of about as many trades each; on the dotted line a score of 40 % wins 40 times "
    "in 100. Error bars are 95 % Wilson intervals, which take trades as independent."
)
_THRESHOLDS = (
    "Net result of all trades scored at or above a threshold, one contract each, with its 95 % interval from "
    f"{FEWEST_TRADES} trades on. Dotted lines are the thresholds in use, with the number of the fold. The best point "
    "of such a curve is found with hindsight and lies high even for a model that knows nothing: it is no threshold to "
    "trade by."
)
_FOLDS = "AUC within each fold, and within all of them, with 95 % intervals; the line at 0.5 is a coin toss."
_HISTORY = (
    "Filled dots are winners, hollow ones losers; the dotted line is the threshold. A model that tells them apart has "
    "its filled dots on top."
)
_IMPORTANCE = (
    "The top features by mean over the folds; each dot is a fold. Gain is measured on training rows, where noise gains "
    "too. Permutation importance is measured out of fold: how much worse log loss (or AUC, where scores are no "
    "probabilities) becomes when the feature is shuffled; around zero or below, the feature did not help. Features "
    "that can replace each other each show little."
)


def model_section(inputs: ReportInputs) -> str:
    """All of it as HTML; nothing but a sentence where no model has a score."""
    judged = {
        family: findings.judgement for family, findings in inputs.models.items() if len(findings.judgement.scored)
    }
    parts = [_missing(inputs.models)]
    if judged:
        strategies = {family: findings.strategy for family, findings in inputs.models.items()}
        colors = family_colors(strategies, list(inputs.results))
        parts += _judged(inputs, judged, colors)
    return "\n".join(part for part in parts if part)


def overall_verdict(summaries: Mapping[str, pd.DataFrame]) -> str:
    """One sentence on all models together, baselines left out where there are others.

    Parameters
    ----------
    summaries
        Family → :func:`pipeline.performance.model_summary`.
    """
    tried = {family: table for family, table in summaries.items() if family not in BASELINES} or dict(summaries)
    aside = ", baselines aside," if len(tried) < len(summaries) else ""
    lows = {family: float(table.loc["auc_within_folds", "low"]) for family, table in tried.items()}
    known = [family for family, low in lows.items() if not math.isnan(low)]
    if not known:
        return "No model can be judged: whether any tells winners from losers is unknown."
    found = [family for family in known if lows[family] > 0.5]
    if not found:
        one = f"{family_name(known[0])} shows no evidence of telling" if len(known) == 1 else ""
        many = f"None of the {len(known)} models{aside} shows evidence of telling"
        return f"{one or many} winners from losers better than a coin toss."
    names = " and ".join(family_name(family) for family in found)
    says = f"{names} {'shows' if len(found) == 1 else 'show'} some evidence of telling winners from losers"
    if len(known) == 1:
        return f"{says}. {NO_EDGE_BY_ITSELF}"
    # 97.5 % of the intervals of a model that knows nothing do not lie above one half.
    chance = 100 * (1 - 0.975 ** len(known))
    return (
        f"{says}; of {len(known)} models that know nothing, at least one does in up to {chance:.0f} cases of 100. "
        f"{NO_EDGE_BY_ITSELF}"
    )


def _missing(models: Mapping[str, ModelFindings]) -> str:
    without = {family: findings for family, findings in models.items() if not len(findings.judgement.scored)}
    if not models:
        return '<p class="note">No model was trained.</p>'
    return "\n".join(
        f'<p class="note">{plain(family_name(family))}: {plain(findings.why_none or "no trade has a score.")}</p>'
        for family, findings in without.items()
    )


def _judged(inputs: ReportInputs, judged: Mapping[str, ModelJudgement], colors: Mapping[str, str]) -> Iterator[str]:
    differences = inputs.model_differences
    if differences.empty:
        differences = compare_models(
            {family: judgement.scored for family, judgement in judged.items()},
            probabilistic={family: judgement.probabilistic for family, judgement in judged.items()},
            currency=inputs.currency,
        )
    overall = overall_verdict({family: judgement.summary for family, judgement in judged.items()})
    prefix = "On a simulated market: " if inputs.simulated else ""
    yield f'<p class="overall">{kept(prefix + overall)}</p>'
    yield _verdicts(judged, differences, {family: each.tuned for family, each in inputs.models.items()})
    yield _summary_table(inputs, judged, colors)
    yield "<h3>Against the baselines</h3>"
    yield _difference_table(differences, colors)
    yield from _charts(inputs, judged, colors)
    yield from _importances(inputs, colors)


def _verdicts(judged: Mapping[str, ModelJudgement], differences: pd.DataFrame, tuned: Mapping[str, str]) -> str:
    boxes = []
    for family, judgement in judged.items():
        name = family_name(family)
        low, high = (float(judgement.summary.loc["auc_within_folds", end]) for end in ("low", "high"))
        earns = float(judgement.summary.loc["net", "low"]) > 0
        color = GOOD if low > 0.5 and earns else BAD if high < 0.5 else FADED
        first, _, rest = model_verdict(judgement.summary, name).partition(". ")
        note = " ".join(filter(None, [rest, baseline_verdict(differences, family), _sentence(tuned[family])]))
        boxes.append(
            f'<div class="verdict" style="border-color:{color}"><p class="says">{kept(first.rstrip("."))}.</p>'
            f'<p class="note">{kept(note)}</p></div>'
        )
    return f'<div class="verdicts">{"".join(boxes)}</div>'


def _summary_table(inputs: ReportInputs, judged: Mapping[str, ModelJudgement], colors: Mapping[str, str]) -> str:
    most = max((judgement.scored for judgement in judged.values()), key=len)
    held = dict(zip(inputs.results, STRATEGY_COLORS, strict=False))
    lines: list[tuple[str, str, pd.DataFrame, tuple[str, ...]]] = [
        (name, held.get(name, FADED), model_summary(rows, probabilistic=False, currency=inputs.currency), _OF_MONEY)
        for name, rows in _without_model(most, inputs.signals)
    ]
    lines += [
        (family_name(family), colors[family], judgement.summary, tuple(_COLUMNS))
        for family, judgement in judged.items()
    ]
    body = []
    for name, color, summary, metrics in lines:
        cells = [cell(f"{_key(color)}{plain(name)}", tag="th", scope="row")]
        for metric in _COLUMNS:
            cells.append(_value_cell(summary, metric) if metric in metrics else both("", ""))
        body.append(row(cells))
    head = [cell("", tag="th"), *(cell(name, "both", tag="th", scope="col") for name in _COLUMNS.values())]
    first, last = most["session"].min(), most["session"].max()
    caption = (
        f"{_ABOUT} {len(most):,} trades from {first:%Y-%m-%d} to {last:%Y-%m-%d}, 95 % intervals over sessions "
        "resampled in blocks. The first rows use no model."
    )
    return table(head, body, kept(caption), even=True)


def _without_model(scored: pd.DataFrame, signals: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The same trades, all of them taken, and those of the rules."""
    yield "Every trade", scored.assign(score=1.0, threshold=0.5)
    own = signals.reindex(scored.index)
    if (own["session"] == scored["session"]).all():
        rule = own["rule_signal"].astype(bool)
        yield "Rule signals", scored.assign(score=rule.astype(np.float64), threshold=0.5)


def _value_cell(summary: pd.DataFrame, metric: str) -> str:
    line, digits = summary.loc[metric], MODEL_DIGITS.get(metric)
    value = format_value(line["value"], _bare(line["unit"]), digits=digits)
    interval = format_interval(line["low"], line["high"], _bare(line["unit"]), value=line["value"], digits=digits)
    if metric == "trades_taken":
        return both(value, f"of {int(summary.loc['rows', 'value']):,}", words=True)
    if interval or metric not in ("precision", "mean_r", "net"):
        return both(value, interval)
    few = int(summary.loc["trades_taken", "value"])
    return both(value, "too few trades" if few else "", words=True)


def _bare(unit: str) -> str:
    return "" if unit == "nats" else unit


def _difference_table(differences: pd.DataFrame, colors: Mapping[str, str]) -> str:
    if differences.empty:
        return (
            '<p class="note">No baseline was trained beside these models, so there is nothing to compare them with: '
            "add constant and logistic to the families.</p>"
        )
    body = []
    for (family, baseline), part in differences.groupby(level=["family", "baseline"], sort=False):
        lines = part.droplevel(["family", "baseline"])
        pair = f"{family_name(family)} minus {_lowered(family_name(baseline))}"
        name = _key(colors.get(family, FADED)) + plain(pair)
        cells = [cell(name, tag="th", scope="row")]
        for metric in _DIFFERENCES:
            line, digits = lines.loc[metric], MODEL_DIGITS.get(metric)
            value = format_value(line["value"], _bare(line["unit"]), digits=digits)
            ends = format_interval(line["low"], line["high"], _bare(line["unit"]), value=line["value"], digits=digits)
            color = {"better": GOOD, "worse": BAD}.get(line["better"], "")
            few = "" if ends or "too few" not in line["note"] else "too few trades"
            cells.append(both(value, ends or few, words=not ends, color=color))
        body.append(row(cells))
    head = [cell("", tag="th"), *(cell(name, "both", tag="th", scope="col") for name in _DIFFERENCES.values())]
    return table(head, body, kept(_COMPARED), even=True)


def _charts(inputs: ReportInputs, judged: Mapping[str, ModelJudgement], colors: Mapping[str, str]) -> Iterator[str]:
    simulated = inputs.simulated
    probable = {family: judgement for family, judgement in judged.items() if len(judgement.calibration)}
    if probable:
        figure = calibration_figure(probable, colors, simulated=simulated)
        yield f'<h3>Calibration</h3><p class="note">{kept(_CALIBRATION)}</p>'
        yield _grid(figure, "calibration-chart", len(probable))
    ranking = {family: judgement for family, judgement in judged.items() if _ranks(judgement.scored)}
    if ranking:
        yield f'<h3>Net profit by threshold</h3><p class="note">{kept(_THRESHOLDS)}</p>'
        figure = threshold_figure(ranking, colors, currency=inputs.currency, simulated=simulated)
        yield _grid(figure, "threshold-chart", len(ranking))
        yield f'<h3>Fold by fold</h3><p class="note">{kept(_FOLDS)}</p>'
        figure = fold_figure(ranking, colors, simulated=simulated)
        yield figure_html(figure, "folds-chart", narrow=legend_down(figure) if len(ranking) > 1 else None)
    else:
        yield "<h3>Fold by fold</h3>"
    yield _fold_table(inputs, judged)
    if ranking:
        yield f'<h3>Scores over time</h3><p class="note">{_HISTORY}</p>'
        yield figure_html(history_figure(ranking, colors, simulated=simulated), "scores-chart")


def _ranks(scored: pd.DataFrame) -> bool:
    """Tell whether two trades of one fold differ in score; a constant's do not, and there is nothing to draw."""
    score = scored.groupby("fold")["score"]
    return bool((score.max() > score.min()).any())


def _grid(figure: "go.Figure", name: str, panels: int, height: int = PANEL_HEIGHT) -> str:
    layouts = stacked(figure, panels, panel_height=height, top=40)
    return f'<div class="grid">{figure_html(figure, name, wide=True, narrow=layouts)}</div>'


def _fold_table(inputs: ReportInputs, judged: Mapping[str, ModelJudgement]) -> str:
    """Tabulate when each fold's models learned and scored; all families share the folds, so the first one serves."""
    held = next((each.folds for each in inputs.models.values() if len(each.folds)), pd.DataFrame())
    told = [name for name in _LEARNED if name in held.columns]
    scored = next(iter(judged.values())).scored
    body = []
    for fold, part in scored.groupby("fold", sort=True):
        cells = [cell(f"Fold {fold}", tag="th", scope="row")]
        for name in told:
            value = held[name].get(fold, pd.NA)
            shown = "–" if pd.isna(value) else f"{value:%Y-%m-%d}" if name == "trained_until" else f"{int(value):,}"
            cells.append(cell(shown, "number"))
        cells += [
            cell(f"{part['session'].min():%Y-%m-%d} to {part['session'].max():%Y-%m-%d}", "number"),
            cell(f"{len(part):,}", "number"),
            cell(f"{100 * part['label'].mean():.1f} %", "number"),
        ]
        body.append(row(cells))
    names = [*(_LEARNED[name] for name in told), "Scored", "Trades", "Win rate"]
    head = [cell("", tag="th"), *(cell(name, "number", tag="th", scope="col") for name in names)]
    return table(head, body)


def _importances(inputs: ReportInputs, colors: Mapping[str, str]) -> Iterator[str]:
    held = {family: each.importance for family, each in inputs.models.items() if len(each.importance)}
    held = {family: importance for family, importance in held.items() if importance_methods(importance)}
    if not held:
        return
    yield f'<h3>Feature importance</h3><p class="note">{_IMPORTANCE}</p>'
    for number, (family, importance) in enumerate(held.items()):
        figure = importance_figure(importance, colors[family], simulated=inputs.simulated)
        panels = len(importance_methods(importance))
        chart = _grid(figure, f"importance-chart-{number}", panels, importance_height() - 40)
        state = "" if number else " open"
        yield f"<details{state}><summary>{plain(family_name(family))}</summary>{chart}</details>"
    yield "<h3>Agreement between folds</h3>"
    yield _stability_table(held, colors)


def _stability_table(held: Mapping[str, pd.DataFrame], colors: Mapping[str, str]) -> str:
    body, chance = [], math.nan
    for family, importance in held.items():
        stability = importance_stability(importance, top=_TOP_LIST)
        chance = float(stability["chance_overlap"].max())
        cells = [cell(f"{_key(colors[family])}{plain(family_name(family))}", tag="th", scope="row")]
        for method in METHOD_NAMES:
            if method not in importance_methods(importance):
                cells.append(both(""))
                continue
            line = stability.loc[method]
            shared = f"{_percent(line['top_overlap'])} in common"
            cells.append(both(format_value(line["rank_correlation"], ""), shared, words=True))
        body.append(row(cells))
    head = [cell("", tag="th"), *(cell(name, "both", tag="th", scope="col") for name in METHOD_NAMES.values())]
    caption = (
        "Mean over pairs of folds: rank correlation of the importances (1 is the same order, 0 none), and how many of "
        f"the top {_TOP_LIST} features two folds share ({_percent(chance)} by chance). Training rows of walk-forward "
        "folds overlap, so measures on them agree to some extent anyway."
    )
    return table(head, body, kept(caption), even=True)


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"


def _key(color: str) -> str:
    return f'<span class="key" style="background:{color}"></span>'


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:].rstrip('.')}." if words else ""


def _lowered(name: str) -> str:
    return name if name.isupper() else name[0].lower() + name[1:]
