"""Quality of a model's out-of-fold scores, each number with its 95 % interval, and the verdict on it.

Definitions, units and limits: ``docs/statistics.md``.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.performance.metric_table import TABLE_COLUMNS, MetricTable, format_estimate, noted
from pipeline.performance.model_curves import calibration_curve, threshold_curve
from pipeline.performance.score_samples import ScoreSample
from pipeline.performance.scored import require_scored
from pipeline.performance.summary import FEWEST_TRADES
from pipeline.performance.uncertainty import Interval, quantile_interval

__all__ = [
    "FEWEST_OF_A_KIND",
    "MODEL_METRICS",
    "NO_EDGE_BY_ITSELF",
    "ModelJudgement",
    "judge_model",
    "model_summary",
    "model_summary_by_fold",
    "model_verdict",
]

MODEL_METRICS = (
    "rows",
    "sessions",
    "share_above_zero",
    "mean_score",
    "log_loss",
    "brier_score",
    "auc",
    "auc_within_folds",
    "trades_taken",
    "precision",
    "precision_gain",
    "net",
    "net_a_trade",
    "mean_r",
    "mean_r_gain",
)
FEWEST_OF_A_KIND = 10
"""Winners, and losers, below which an AUC has no interval: resamples would repeat a handful of one kind."""

# A far target ends more trades at the session's close, half of them above zero, and pays no more on average.
NO_EDGE_BY_ITSELF = (
    "That alone is not an edge: how far stop and target lie tells winners from losers where nothing can be earned, too."
)
"""Caveat to print wherever an AUC is called evidence."""

_LEVEL = 0.95
_REPLICATIONS = 2000
_OF_PROBABILITIES = ("mean_score", "log_loss", "brier_score")
_OF_TRADES_TAKEN = ("precision", "precision_gain", "net", "net_a_trade", "mean_r", "mean_r_gain")
_ALIKE = "every score of a fold is the same"
_AUCS = ("auc", "auc_within_folds")
_NOTES = {
    "share_above_zero": "trades with a profit after commission, taken or not",
    "mean_score": "a calibrated model's is the share above zero",
    "log_loss": "mean −ln of the probability given to what happened; less is better",
    "brier_score": "mean squared distance of score and outcome; less is better",
    "auc": "chance that a winner scores above a loser, of all pairs; 0.5 is none",
    "auc_within_folds": "the same of pairs scored by one model; 0.5 is none",
    "precision": "trades taken with a profit after commission",
    "precision_gain": "precision less the share of all trades above zero",
    "net": "of the trades taken, one contract each, after costs",
    "net_a_trade": "mean of the trades taken, one contract",
    "mean_r": "mean R multiple of the trades taken",
    "mean_r_gain": "that, less the mean of all trades",
}


@dataclass(frozen=True)
class ModelJudgement:
    """All that is worked out from one model's scored rows.

    Attributes
    ----------
    scored
        The rows, as :func:`~pipeline.performance.scored.scored_rows` makes them.
    probabilistic
        Whether scores are meant as probabilities.
    summary
        From :func:`model_summary`.
    by_fold
        From :func:`model_summary_by_fold`.
    calibration
        From :func:`~pipeline.performance.model_curves.calibration_curve`; empty where scores are not probabilities.
    thresholds
        From :func:`~pipeline.performance.model_curves.threshold_curve`.
    """

    scored: pd.DataFrame
    probabilistic: bool
    summary: pd.DataFrame
    by_fold: pd.DataFrame
    calibration: pd.DataFrame
    thresholds: pd.DataFrame


def judge_model(
    scored: pd.DataFrame, *, probabilistic: bool = True, seed: int = 0, currency: str = "$"
) -> ModelJudgement:
    """Judge a model's scored rows in full; the same rows and seed give the same numbers.

    Raises
    ------
    DataError
        As :func:`model_summary`.
    """
    curve = calibration_curve(scored)
    return ModelJudgement(
        scored=scored,
        probabilistic=probabilistic,
        summary=model_summary(scored, probabilistic=probabilistic, seed=seed, currency=currency),
        by_fold=model_summary_by_fold(scored, probabilistic=probabilistic, seed=seed, currency=currency),
        calibration=curve if probabilistic else curve.iloc[:0],
        thresholds=threshold_curve(scored, seed=seed),
    )


def model_summary(
    scored: pd.DataFrame, *, probabilistic: bool = True, seed: int = 0, currency: str = "$"
) -> pd.DataFrame:
    """Metrics of a model's out-of-fold scores with their uncertainty.

    Parameters
    ----------
    scored
        One row per candidate with a score and an outcome (index candidate): ``start``, ``session``, ``side``, ``fold``,
        ``score``, ``threshold``, ``label``, ``net``, ``r_multiple``, ``weight``. Each row counts once, whatever its
        weight in training was.
    probabilistic
        Whether scores are meant as probabilities; where not, log loss, Brier score and mean score don't exist.
    seed
        Of the bootstrap; the same seed gives the same intervals.
    currency
        Unit of money.

    Returns
    -------
    DataFrame
        Indexed by metric (:data:`MODEL_METRICS`): ``value``, ``low``, ``high`` (95 % stationary-bootstrap interval
        over sessions; NaN where none is meaningful), ``unit`` and ``note``, as of
        :func:`pipeline.performance.summary`. What does not exist is NaN and its note says why: an AUC of one class
        only, a precision without a trade taken. With fewer than :data:`~pipeline.performance.summary.FEWEST_TRADES`
        trades (for what the threshold selects: trades taken) there is no interval.

    Notes
    -----
    Sessions are drawn whole, in blocks, 2,000 times. Of walk-forward scores ``auc`` lies a little low where nothing
    is to be found: the rate of winners in a fold enters the level of later scores. ``auc_within_folds`` compares
    scores of one model only and has no such lean.

    Raises
    ------
    DataError
        For rows that can't be judged, among them any that no fold scored.
    """
    return _summary(require_scored(scored), probabilistic, seed, currency)


def model_summary_by_fold(
    scored: pd.DataFrame, *, probabilistic: bool = True, seed: int = 0, currency: str = "$"
) -> pd.DataFrame:
    """:func:`model_summary` of each fold, indexed by ``fold`` and ``metric``, folds in order."""
    rows = require_scored(scored)
    folds = {int(fold): _summary(part, probabilistic, seed, currency) for fold, part in rows.groupby("fold", sort=True)}
    if not folds:
        index = pd.MultiIndex.from_arrays([[], []], names=["fold", "metric"])
        return pd.DataFrame({name: [] for name in TABLE_COLUMNS}, index=index).astype(TABLE_COLUMNS)
    return pd.concat(folds, names=["fold", "metric"])


def model_verdict(summary: pd.DataFrame, name: str) -> str:
    """Say what a model's summary supports, in a sentence or two.

    Parameters
    ----------
    summary
        From :func:`model_summary`.
    name
        What the model is called in the sentence.
    """
    rows = int(summary.loc["rows", "value"])
    if not rows:
        return f"{name} scored no trade out of fold, so there is nothing to judge."
    if rows < FEWEST_TRADES:
        return f"Too few trades to judge {name} ({rows}): an interval needs at least {FEWEST_TRADES}."
    return f"{_ranking_verdict(summary, name)} {_money_verdict(summary)}"


def _ranking_verdict(summary: pd.DataFrame, name: str) -> str:
    value, low, high = (float(summary.loc["auc_within_folds", key]) for key in ("value", "low", "high"))
    if math.isnan(value):
        return f"Whether {name} tells winners from losers can't be said: {summary.loc['auc_within_folds', 'note']}."
    if math.isnan(low) and _reason(summary, "auc_within_folds") == _ALIKE:
        return f"{name} gives every trade of a fold the same score, so it can't separate any."
    if math.isnan(low):
        return f"Whether {name} tells winners from losers can't be said: {_reason(summary, 'auc_within_folds')}."
    spread = f"AUC {format_estimate(summary.loc['auc_within_folds'])}"
    if low > 0.5:
        return (
            f"Some evidence that {name} tells winners from losers, before any correction for how many models were "
            f"tried: {spread}. {NO_EDGE_BY_ITSELF}"
        )
    if high < 0.5:
        return f"Evidence that {name} ranks losers above winners: {spread}."
    return f"No evidence that {name} tells winners from losers: {spread}."


def _money_verdict(summary: pd.DataFrame) -> str:
    trades, rows = int(summary.loc["trades_taken", "value"]), int(summary.loc["rows", "value"])
    if not trades:
        return f"At its threshold it took none of {rows:,} trades."
    counted = f"At its threshold it took {trades:,} of {rows:,} trades"
    low, high = float(summary.loc["net", "low"]), float(summary.loc["net", "high"])
    if math.isnan(low):
        return f"{counted}, too few to judge by their result."
    made = f"{counted}, which made {format_estimate(summary.loc['net'])} with one contract each"
    if low > 0:
        return f"{made}: a profit, before any correction for how many models were tried."
    return f"{made}: a loss." if high < 0 else f"{made}: no more than chance could explain."


def _reason(summary: pd.DataFrame, metric: str) -> str:
    """The last remark, which says why there is no interval."""
    return str(summary.loc[metric, "note"]).split("; ")[-1]


def _summary(rows: pd.DataFrame, probabilistic: bool, seed: int, currency: str) -> pd.DataFrame:
    sample = ScoreSample(rows)
    values, count = sample.values(), len(rows)
    trades = int(sample.taken.sum())
    intervals: dict[str, Interval] = {}
    if count >= FEWEST_TRADES and sample.sessions > 1:
        drawn = sample.resampled(sample.resamples(replications=_REPLICATIONS, seed=seed))
        intervals = {name: quantile_interval(results, _LEVEL) for name, results in drawn.items()}
    units = dict.fromkeys(("share_above_zero", "mean_score", "precision"), "%")
    units |= {"log_loss": "nats", "precision_gain": "points", "net": currency, "net_a_trade": currency}
    units |= {"mean_r": "R", "mean_r_gain": "R"}
    table = MetricTable()
    table.add("rows", count, "trades", "candidates with a score and an outcome")
    table.add("sessions", sample.sessions, "sessions", "with such a candidate")
    for name in MODEL_METRICS[2:]:
        if name == "trades_taken":
            table.add(name, trades, "trades", noted(_threshold_note(rows), f"of {count:,}" if count else ""))
            continue
        if name in _OF_PROBABILITIES and not probabilistic:
            table.add(name, math.nan, units.get(name, ""), "its score is not a probability")
            continue
        why = _why_no_value(name, sample) or _why_no_interval(name, sample)
        clipped = name == "log_loss" and _certain(sample)
        note = noted(_NOTES[name], clipped or "", why)
        table.add(name, values[name], units.get(name, ""), note, None if why else intervals.get(name))
    return table.frame()


def _why_no_value(name: str, sample: ScoreSample) -> str:
    count, won = len(sample.label), int(sample.label.sum())
    if not count:
        return "no trades"
    if name in _OF_TRADES_TAKEN and not sample.taken.any():
        return "no trade reached the threshold"
    if name in _AUCS and won in (0, count):
        return _one_kind(count, won)
    if name == "auc_within_folds" and not sample.has_pairs_within_folds:
        return "every fold holds one class only"
    return ""


def _why_no_interval(name: str, sample: ScoreSample) -> str:
    """Say why there is a value only; empty where there is an interval too."""
    chosen = sample.label[sample.taken > 0] if name in _OF_TRADES_TAKEN else sample.label
    count, won = len(chosen), int(chosen.sum())
    what = "trades taken" if name in _OF_TRADES_TAKEN else "trades"
    if count < FEWEST_TRADES:
        return f"too few {what} ({count}) for an interval"
    if sample.sessions < 2:
        return "one session only"
    # Every resample would show the same rate, as if it were known.
    if won in (0, count) and name not in ("net", "net_a_trade", "mean_r", "mean_r_gain"):
        return _one_kind(count, won)
    if name in ("precision_gain", "mean_r_gain") and count == len(sample.label):
        return "every trade was taken"
    if name in _AUCS:
        if min(won, count - won) < FEWEST_OF_A_KIND:
            kind = "winners" if won <= count - won else "losers"
            return f"too few {kind} ({min(won, count - won)}) for an interval"
        if not sample.ranks_any:
            return _ALIKE
    return ""


def _one_kind(count: int, won: int) -> str:
    return f"all {count:,} trades ended {'above zero' if won else 'at or below zero'}"


def _threshold_note(rows: pd.DataFrame) -> str:
    if not len(rows):
        return ""
    low, high = float(rows["threshold"].min()), float(rows["threshold"].max())
    return f"score at least {low:.3g}" if low == high else f"score at least {low:.3g} to {high:.3g}, by fold"


def _certain(sample: ScoreSample) -> str:
    certain = int(np.isin(sample.score, (0.0, 1.0)).sum())
    return f"{certain:,} scores of exactly 0 or 1 count as a hair from it" if certain else ""
