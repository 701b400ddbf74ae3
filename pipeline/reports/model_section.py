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
    "auc_within_folds": "AUC",
    "log_loss": "Log loss",
    "brier_score": "Brier score",
    "trades_taken": "Trades taken",
    "precision": "Above zero",
    "net": "Net, one contract",
    "mean_r": "Mean R",
}
_DIFFERENCES = {
    "log_loss": "Log loss",
    "brier_score": "Brier score",
    "auc_within_folds": "AUC",
    "net": "Net, one contract",
    "mean_r": "Mean R",
}
_LEARNED = {
    "train_rows": "Learned from, trades",
    "trained_until": "Known by",
    "purged": "Purged",
    "embargoed": "Embargoed",
}
_TOP_LIST = 20
_OF_MONEY = ("trades_taken", "precision", "net", "mean_r")
_ABOUT = (
    "Every score here was made by a model that learned only from trades whose outcome was known before the decision "
    "it scores (walk-forward, purged). Each filled candidate counts once, with one contract, whether or not the "
    "account would have had room for it; the backtests above trade the same signals with the account's rules, and with "
    "the setting require_rules only those that are rule signals too. AUC is the chance that a winner scores above a "
    "loser; 0.5 is a coin."
)
_COMPARED = (
    "The model less the baseline on the same trades and the same resampled sessions, so that what both share cancels. "
    "Less log loss and a lower Brier score are better, more of the rest. Green is better and red worse by the 95 % "
    "interval; of twenty that hold nothing, one is coloured all the same."
)
_CALIBRATION = (
    "Trades in bins of about as many by score, which goes across, in percent: on the dotted line a score of 40 % wins "
    "40 times in 100. Bars are 95 % by Wilson's formula, which takes trades as independent."
)
_THRESHOLDS = (
    "What every trade scored at or above a threshold, which goes across, made, one contract each, with its 95 % "
    f"interval from {FEWEST_TRADES} trades on. The dotted line is the threshold in use. The best point of such a curve "
    "was found with the outcomes known and lies high even for a model that knows nothing: it is no threshold to trade "
    "by."
)
_FOLDS = "AUC with its 95 % interval; the line is a coin."
_HISTORY = (
    "Filled dots ended above zero, hollow ones did not; the dotted line is the threshold. A model that tells them "
    "apart has its filled dots on top."
)
_IMPORTANCE = (
    "The first features by mean over the folds, a dot a fold. Gain is counted on training rows, where noise gains "
    "too. What is lost when a feature is shuffled is out of fold: log loss, or AUC where scores are no probabilities; "
    "around zero or below it the feature did not help. Features that stand in for each other show little each."
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
        return "Of no model can it be said whether it tells winners from losers."
    found = [family for family in known if lows[family] > 0.5]
    if not found:
        one = f"{family_name(known[0])} shows no evidence of telling" if len(known) == 1 else ""
        many = f"None of the {len(known)} models{aside} shows evidence of telling"
        return f"{one or many} winners from losers better than a coin."
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
        "resampled in blocks. The first rows take trades without any model."
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
            '<p class="note">No baseline was trained beside these models, so there is nothing to set them against: '
            "add constant and logistic to the families.</p>"
        )
    body = []
    for (family, baseline), part in differences.groupby(level=["family", "baseline"], sort=False):
        lines = part.droplevel(["family", "baseline"])
        pair = f"{family_name(family)} less {_lowered(family_name(baseline))}"
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
        yield f'<h3>What probabilities were worth</h3><p class="note">{kept(_CALIBRATION)}</p>'
        yield _grid(figure, "calibration-chart", len(probable))
    ranking = {family: judgement for family, judgement in judged.items() if _ranks(judgement.scored)}
    if ranking:
        yield f'<h3>Money by threshold</h3><p class="note">{kept(_THRESHOLDS)}</p>'
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
    """Whether two trades of one fold differ in score; those of a constant don't, and there is nothing to draw."""
    score = scored.groupby("fold")["score"]
    return bool((score.max() > score.min()).any())


def _grid(figure: "go.Figure", name: str, panels: int, height: int = PANEL_HEIGHT) -> str:
    layouts = stacked(figure, panels, panel_height=height, top=40)
    return f'<div class="grid">{figure_html(figure, name, wide=True, narrow=layouts)}</div>'


def _fold_table(inputs: ReportInputs, judged: Mapping[str, ModelJudgement]) -> str:
    """When each fold's models learned and scored; the same for all families, so of the first that tells."""
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
    names = [*(_LEARNED[name] for name in told), "Scored", "Trades", "Above zero"]
    head = [cell("", tag="th"), *(cell(name, "number", tag="th", scope="col") for name in names)]
    return table(head, body)


def _importances(inputs: ReportInputs, colors: Mapping[str, str]) -> Iterator[str]:
    held = {family: each.importance for family, each in inputs.models.items() if len(each.importance)}
    held = {family: importance for family, importance in held.items() if importance_methods(importance)}
    if not held:
        return
    yield f'<h3>What the models look at</h3><p class="note">{_IMPORTANCE}</p>'
    for number, (family, importance) in enumerate(held.items()):
        figure = importance_figure(importance, colors[family], simulated=inputs.simulated)
        panels = len(importance_methods(importance))
        chart = _grid(figure, f"importance-chart-{number}", panels, importance_height() - 40)
        state = "" if number else " open"
        yield f"<details{state}><summary>{plain(family_name(family))}</summary>{chart}</details>"
    yield "<h3>Whether the folds agree on it</h3>"
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
        "Mean over pairs of folds: rank correlation of the importances (1 the same order, 0 none), and how much of the "
        f"first {_TOP_LIST} two folds have in common, of which {_percent(chance)} would be by chance. Training rows of "
        "walk-forward folds overlap, so measures on them agree to some extent by themselves."
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
