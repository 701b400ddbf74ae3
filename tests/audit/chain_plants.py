"""Faults as a developer would make them, between the features and the decision; each patches the project's own code.

A plant takes ``put``, such as ``setattr`` or ``monkeypatch.setattr``. The audit's fresh processes get it too: see
:func:`planted_everywhere`.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pipeline.audit.chain_replay
import pipeline.backtest
import pipeline.chain
import pipeline.research
import pipeline.strategies.value_area_fade
from pipeline.audit import cut_run
from pipeline.features import table
from pipeline.learning import walk_forward as walking
from pipeline.learning.calibration import fit_calibrator
from pipeline.learning.threshold import tune_threshold
from pipeline.modelling import LearningInputs
from pipeline.strategy import Seen

Put = Callable[[Any, str, Any], None]
Plant = Callable[[Put], None]

VARIABLE = "VPOC_TEST_PLANT"
ANSWER = cut_run._answer


def planted_everywhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a fault in this process, and in each one that replays the chain."""
    PLANTS[name](monkeypatch.setattr)
    monkeypatch.setattr(cut_run, "_answer", planted_answer)
    monkeypatch.setenv(VARIABLE, name)


def planted_answer(folder: Path) -> None:
    """Answer as a fresh process does whose program has the fault."""
    PLANTS[os.environ[VARIABLE]](setattr)
    ANSWER(folder)


def rebind(put: Put, original: Any, planted: Any) -> None:
    """Put a function in another one's place wherever the project has imported it."""
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").split(".")[0] in ("pipeline", "assets"):
            for name, value in list(vars(module).items()):
                if value is original:
                    put(module, name, planted)


def nothing(put: Put) -> None:
    """No fault."""


def join_next_row(put: Put) -> None:
    """Candidates get the features of the next session."""
    original = table.candidate_features

    def planted(candidates: pd.DataFrame, features: pd.DataFrame, **more: Any) -> pd.DataFrame:
        return original(candidates, features.shift(-1), **more)

    rebind(put, original, planted)


def _with_next(put: Put, column: str) -> None:
    original = pipeline.strategies.value_area_fade.GateValues.of

    def planted(seen: Seen) -> Any:
        history = seen.history
        peeking = history.assign(**{column: history[column].shift(-1)})
        return original(Seen.of(peeking, seen.instrument, seen.settings))

    put(pipeline.strategies.value_area_fade.GateValues, "of", staticmethod(planted))


def gate_of_next_session(put: Put) -> None:
    """The trend gate looks at the slope that the next session will have."""
    _with_next(put, "slope")


def confidence_of_next_session(put: Put) -> None:
    """The confidence is of the direction probability that the next session will have."""
    _with_next(put, "direction_probability")


def _scored(put: Put, change: Callable[[LearningInputs, pd.DataFrame], pd.DataFrame]) -> None:
    original = LearningInputs.scored
    put(LearningInputs, "scored", lambda self, inputs: change(self, original(self, inputs)))


def scaler_on_all_rows(put: Put) -> None:
    """Features are standardised before the folds."""
    _scored(put, lambda inputs, frame: (frame - frame.mean()) / frame.std().replace(0, 1))


def projection_on_all_rows(put: Put) -> None:
    """Principal components of all candidates are what models learn from."""

    def project(inputs: LearningInputs, frame: pd.DataFrame) -> pd.DataFrame:
        known = frame.dropna(axis="columns", how="all")
        filled = ((known - known.mean()) / known.std().replace(0, 1)).fillna(0.0).to_numpy()
        _, _, axes = np.linalg.svd(filled, full_matrices=False)
        names = [f"component_{number}" for number in range(6)]
        return pd.DataFrame(filled @ axes[:6].T, frame.index, names)

    _scored(put, project)


def selection_by_all_labels(put: Put) -> None:
    """The ten features that tell most of all labels are what models learn from."""

    def select(inputs: LearningInputs, frame: pd.DataFrame) -> pd.DataFrame:
        label = inputs.training_set["label"]
        told = frame.loc[label.index].dropna(axis="columns").corrwith(label).abs().fillna(0.0)
        return frame[sorted(told.nlargest(10).index)]

    _scored(put, select)


def label_among_the_inputs(put: Put) -> None:
    """The label is one of the columns that models are given."""
    _scored(put, lambda inputs, frame: frame.assign(won=inputs.training_set["label"].reindex(frame.index)))


def own_outcome_as_feature(put: Put) -> None:
    """A win rate that counts the candidate's own trade."""
    original = LearningInputs.of.__func__

    def planted(cls: type, training_set: Any, candidates: Any, features: Any, labels: Any, *more: Any, **named: Any):
        made = original(cls, training_set, candidates, features, labels, *more, **named)
        rate = labels["label"].rolling(20, min_periods=1).mean()
        return replace(made, features=made.features.assign(win_rate=rate))

    put(LearningInputs, "of", classmethod(planted))


def _walked(put: Put, change: Callable[[Any, Any, pd.DataFrame], pd.DataFrame]) -> None:
    """Change the predictions of each walk-forward."""
    original = walking.walk_forward

    def planted(plan: Any, rows: Any, scored: Any, starts: Any, **named: Any) -> Any:
        made = original(plan, rows, scored, starts, **named)
        return replace(made, predictions=change(made, rows, scored))

    rebind(put, original, planted)


def in_sample_scores(put: Put) -> None:
    """Scores of the final model are passed off as out of fold."""

    def change(made: Any, rows: Any, scored: pd.DataFrame) -> pd.DataFrame:
        told = made.predictions["fold"] > 0
        scores = made.final.predict_proba(scored)
        return made.predictions.assign(score=made.predictions["score"].where(~told, pd.Series(scores, told.index)))

    _walked(put, change)


def calibration_on_the_test(put: Put) -> None:
    """Scores of all folds are calibrated together, on their own outcomes."""

    def change(made: Any, rows: Any, scored: pd.DataFrame) -> pd.DataFrame:
        predictions = made.predictions.copy()
        told = predictions["fold"] > 0
        known = predictions.index[told].intersection(rows.outcome.index)
        outcome = rows.outcome.loc[known]
        own = predictions.loc[known, "score"].to_numpy()
        fitted = fit_calibrator("platt", own, outcome["label"].to_numpy(), outcome["weight"].to_numpy())
        predictions.loc[told, "score"] = fitted.apply(predictions.loc[told, "score"].to_numpy())
        return predictions

    _walked(put, change)


def threshold_on_the_test(put: Put) -> None:
    """Each fold's threshold is the one that would have earned most in that fold."""

    def change(made: Any, rows: Any, scored: pd.DataFrame) -> pd.DataFrame:
        predictions = made.predictions.copy()
        for fold in made.folds.index:
            own = predictions["fold"] == fold
            known = predictions.index[own].intersection(rows.outcome.index)
            net = rows.outcome.loc[known, "net"].to_numpy()
            predictions.loc[own, "threshold"] = tune_threshold(predictions.loc[known, "score"].to_numpy(), net)
        return predictions

    _walked(put, change)


def _of_rounds(make: Any, rounds: int) -> Any:
    return make().fresh(rounds=rounds)


def early_stopping_on_the_test(put: Put) -> None:
    """Of three lengths of training, none of them the honest one, each fold takes that which does best on its test."""
    original = walking.walk_forward

    def planted(plan: Any, rows: Any, scored: Any, starts: Any, **named: Any) -> Any:
        made = original(plan, rows, scored, starts, **named)
        honest = plan.make().settings.rounds
        lengths = [
            original(replace(plan, make=partial(_of_rounds, plan.make, rounds)), rows, scored, starts, **named)
            for rounds in (honest // 3, honest * 2, honest * 4)
        ]
        predictions = made.predictions.copy()
        for fold in made.folds.index:
            own = predictions["fold"] == fold
            known = predictions.index[own].intersection(rows.outcome.index)
            label = rows.outcome.loc[known, "label"].to_numpy()
            best = min(lengths, key=lambda each: ((each.predictions.loc[known, "score"] - label) ** 2).mean())
            predictions.loc[own, "score"] = best.predictions.loc[own, "score"]
        return replace(made, predictions=predictions)

    rebind(put, original, planted)


def signals_by_rank_of_all_rows(put: Put) -> None:
    """A candidate is a model signal where its confidence is among the best fifth of the whole run."""
    original = pipeline.strategy.model_signals

    def planted(signals: pd.DataFrame, predictions: pd.DataFrame, **more: Any) -> pd.DataFrame:
        made = original(signals, predictions, **more)
        return made.assign(model_signal=made["confidence"].rank(pct=True) > 0.8)

    rebind(put, original, planted)


def orders_above_the_median(put: Put) -> None:
    """Only candidates are traded whose confidence is above the median of the whole run."""
    original = pipeline.research.orders_of

    def planted(signals: pd.DataFrame, strategy: Any) -> dict[str, pd.DataFrame]:
        median = signals["confidence"].median()
        return {name: orders[orders["confidence"] > median] for name, orders in original(signals, strategy).items()}

    rebind(put, original, planted)


REMEMBERED: dict[str, pd.Series] = {}


def remembered_by_symbol(put: Put) -> None:
    """A feature is counted from its mean over all sessions, which a module remembers by symbol."""
    original = pipeline.chain.session_features

    def planted(inputs: Any, *more: Any) -> pd.DataFrame:
        frame = original(inputs, *more)
        mean = REMEMBERED.setdefault(inputs.instrument.symbol, frame.mean())
        return frame.assign(relative_volume_20=frame["relative_volume_20"] - mean["relative_volume_20"])

    rebind(put, original, planted)


def fills_that_see_the_next_close(put: Put) -> None:
    """Positions are marked at the close of the bar after."""
    original = pipeline.backtest.simulate

    def planted(bars: pd.DataFrame, *more: Any, **named: Any) -> Any:
        made = original(bars, *more, **named)
        return replace(made, equity=made.equity.shift(-1).ffill())

    rebind(put, original, planted)


def orders_that_know_their_loss(put: Put) -> None:
    """The worst trades of the run are never entered."""
    original = pipeline.backtest.simulate

    def planted(bars: pd.DataFrame, orders: pd.DataFrame, *more: Any, **named: Any) -> Any:
        worst = original(bars, orders, *more, **named).trades.nsmallest(10, "pnl")["order"]
        return original(bars, orders.drop(index=worst), *more, **named)

    rebind(put, original, planted)


def order_ends_by_the_whole_run(put: Put) -> None:
    """Make the end of an order depend on how many trades the whole run has."""
    original = pipeline.backtest.simulate

    def planted(*given: Any, **named: Any) -> Any:
        made = original(*given, **named)
        return replace(made, orders=made.orders.assign(reason=f"{len(made.trades)} trades"))

    rebind(put, original, planted)


def sizes_by_the_whole_run(put: Put) -> None:
    """The share of the equity at risk is set by how the whole run ended."""
    original = pipeline.backtest.simulate

    def planted(bars: Any, orders: Any, instrument: Any, account: Any, **named: Any) -> Any:
        ended = original(bars, orders, instrument, account, **named).equity.iloc[-1]
        risk = 0.02 if ended > account.initial_capital else 0.01
        return original(bars, orders, instrument, account.model_copy(update={"risk_per_trade": risk}), **named)

    rebind(put, original, planted)


PLANTS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        nothing,
        join_next_row,
        gate_of_next_session,
        confidence_of_next_session,
        scaler_on_all_rows,
        projection_on_all_rows,
        selection_by_all_labels,
        label_among_the_inputs,
        own_outcome_as_feature,
        in_sample_scores,
        calibration_on_the_test,
        threshold_on_the_test,
        early_stopping_on_the_test,
        signals_by_rank_of_all_rows,
        orders_above_the_median,
        remembered_by_symbol,
        fills_that_see_the_next_close,
        orders_that_know_their_loss,
        order_ends_by_the_whole_run,
        sizes_by_the_whole_run,
    )
}
