"""The models: what their out-of-fold scores were worth, beside chance, rules and baselines."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from pipeline.performance import (
    BASELINES,
    NO_EDGE_BY_ITSELF,
    baseline_verdict,
    format_line,
    model_summary,
    model_verdict,
)
from pipeline.reports import models
from pipeline.reports.inputs import ReportInputs, ShownModel
from pipeline.reports.markup import both, heads, kept, named, note, plain, row, table
from pipeline.reports.model_names import family_name
from pipeline.reports.models.baselines import model_differences
from pipeline.reports.section import Section, parts_in
from pipeline.reports.theme import BAD, FADED, GOOD

__all__ = ["SECTION", "overall_verdict"]

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


def _html(inputs: ReportInputs) -> str:
    return "\n".join(_parts(inputs))


def _parts(inputs: ReportInputs) -> Iterator[str]:
    for family, findings in inputs.models.items():
        if not len(findings.judgement.scored):
            yield note(f"{plain(family_name(family))}: no trade has a score.")
    shown = inputs.shown_models
    if not shown:
        return
    overall = overall_verdict({model.family: model.judgement.summary for model in shown})
    prefix = "On a simulated market: " if inputs.simulated else ""
    yield note(kept(prefix + overall), "overall")
    differences = model_differences(inputs)
    yield f'<div class="verdicts">{"".join(_verdict(model, differences) for model in shown)}</div>'
    yield _summary_table(inputs)
    for part in parts_in(models, "SECTION"):
        if content := part.html(inputs):
            yield f"<h3>{part.title}</h3>{content}"


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


def _verdict(model: ShownModel, differences: pd.DataFrame) -> str:
    summary, tuned = model.judgement.summary, model.findings.tuned
    low, high = (float(summary.loc["auc_within_folds", end]) for end in ("low", "high"))
    earns = float(summary.loc["net", "low"]) > 0
    color = GOOD if low > 0.5 and earns else BAD if high < 0.5 else FADED
    first, _, rest = model_verdict(summary, model.name).partition(". ")
    how = f"{tuned[0].upper()}{tuned[1:].rstrip('.')}." if tuned else ""
    text = " ".join(filter(None, [rest, baseline_verdict(differences, model.family), how]))
    return (
        f'<div class="verdict" style="border-color:{color}">{note(kept(first.rstrip(".")) + ".", "says")}'
        f"{note(kept(text))}</div>"
    )


def _summary_table(inputs: ReportInputs) -> str:
    shown = inputs.shown_models
    most = max((model.judgement.scored for model in shown), key=len)
    body = []
    for name, rows in _without_model(most, inputs.signals):
        summary = model_summary(rows, probabilistic=False, currency=inputs.currency)
        cells = (_cell(summary, metric) if metric in _OF_MONEY else both("") for metric in _COLUMNS)
        body.append(row(named(inputs.colors.get(name, FADED), name), cells))
    for model in shown:
        cells = (_cell(model.judgement.summary, metric) for metric in _COLUMNS)
        body.append(row(named(model.color, model.name), cells))
    first, last = most["session"].min(), most["session"].max()
    caption = (
        f"{_ABOUT} {len(most):,} trades from {first:%Y-%m-%d} to {last:%Y-%m-%d}, 95 % intervals over sessions "
        "resampled in blocks. The first rows use no model."
    )
    return table(heads("", *_COLUMNS.values(), kind="both"), body, kept(caption), even=True)


def _without_model(scored: pd.DataFrame, signals: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The same trades, all of them taken, and those of the rules."""
    yield "Every trade", scored.assign(score=1.0, threshold=0.5)
    own = signals.reindex(scored.index)
    if (own["session"] == scored["session"]).all():
        rule = own["rule_signal"].astype(bool)
        yield "Rule signals", scored.assign(score=rule.astype(np.float64), threshold=0.5)


def _cell(summary: pd.DataFrame, metric: str) -> str:
    value, interval = format_line(summary.loc[metric].replace("nats", ""))
    if metric == "trades_taken":
        return both(value, f"of {int(summary.loc['rows', 'value']):,}", words=True)
    if interval or metric not in _OF_MONEY:
        return both(value, interval)
    return both(value, "too few trades" if summary.loc["trades_taken", "value"] else "", words=True)


SECTION = Section(50, "models", "Models", _html)
