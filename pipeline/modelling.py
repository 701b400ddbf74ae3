"""Models without an orchestrator: what they learn from, their walk-forward, and what is kept of it.

The asset ``models`` calls this, and so can a script or a test.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import DataError
from pipeline.features import candidate_features
from pipeline.hardware import processors
from pipeline.learning.compute import Compute
from pipeline.learning.importance import importance_table, sequence_groups, walk_forward_importance
from pipeline.learning.models import FitOptions, Model, Progress, TrainingRows
from pipeline.learning.models.protocol import Inputs
from pipeline.learning.provenance import data_version
from pipeline.learning.record import TrainingResult, flat_summary
from pipeline.learning.walk_forward import FINAL, FitPlan, Fitted, WalkForward, fit_final, walk_forward
from pipeline.performance import BASELINES, ModelJudgement, judge_model, scored_rows
from pipeline.settings import ModelSelection, Weights

__all__ = [
    "LearningInputs",
    "Trained",
    "baseline_judgements",
    "checkpointed",
    "final_model",
    "hyperparameters_by_fold",
    "judged",
    "judged_training",
    "learning_version",
    "train_model",
    "training_result",
    "walk_family",
]

CONSTANT = BASELINES[0]  # takes no time
WORTH_PROCESSES = 100_000
"""Values (rows × features) from which on fits are made side by side, in processes of their own."""


@dataclass(frozen=True)
class LearningInputs:
    """Training data of a symbol's models, and the candidates that they score.

    Attributes
    ----------
    training_set
        Asset of that name: one row per candidate that became a trade.
    features, sequences
        Of all candidates, filled or not, in one index; sequences may be absent.
    starts
        When each candidate was decided.
    pending
        Which of them wait for their session.
    version
        Hash of all of it: models trained on another version are not those of these candidates.
    """

    training_set: pd.DataFrame
    features: pd.DataFrame
    sequences: pd.DataFrame | None
    starts: pd.Series
    pending: pd.Series
    version: str

    @classmethod
    def of(
        cls,
        training_set: pd.DataFrame,
        candidates: pd.DataFrame,
        features: pd.DataFrame,
        labels: pd.DataFrame,
        sequences: pd.DataFrame | None = None,
        *,
        source: str,
    ) -> "LearningInputs":
        """Assemble from the assets of these names, all of one symbol, and the identity of its bars.

        Raises
        ------
        DataError
            If they were made from other bars: a model must not claim bars that it has not seen.
        """
        made_from = features.attrs.get("source", source)
        if made_from != source:
            raise DataError(
                f"features were made from {made_from!r}, but the symbol's source is now {source!r}: run 'vpoc run' for "
                "it, which rebuilds everything"
            )
        # A training set has refused some, of its user's own, where they give the label away.
        learned = [name for name in features.columns if name in training_set.columns]
        return cls(
            training_set,
            candidate_features(candidates, features[learned]),
            sequences,
            labels["start"],
            labels["status"] == "pending",
            learning_version(training_set, candidates, source),
        )

    def scored(self, inputs: Inputs) -> pd.DataFrame:
        """Model inputs of every candidate."""
        if inputs == "features":
            return self.features
        if self.sequences is None:
            raise DataError("this family learns from sequences, which don't exist yet: materialize sequences first")
        if inputs == "sequences":
            return self.sequences
        return pd.concat([self.features, self.sequences], axis=1)

    def rows(self, inputs: Inputs, weights: Weights) -> TrainingRows:
        """The candidates that became trades, with their outcome, counted equally or by their uniqueness."""
        outcome = TrainingRows.from_training_set(self.training_set).outcome
        if weights == "equal":
            outcome = outcome.assign(weight=1.0)
        return TrainingRows(self.scored(inputs).loc[outcome.index], outcome)


def learning_version(training_set: pd.DataFrame, candidates: pd.DataFrame, source: str) -> str:
    """Hash of what models learn from and of the candidates they score; another one means another training."""
    return "-".join(data_version(frame, source)[:16] for frame in (training_set, candidates))


@dataclass(frozen=True)
class Trained:
    """A model family trained on a symbol.

    Attributes
    ----------
    family
        Its name.
    walk
        Predictions, folds and models.
    judgement
        How good the out-of-fold scores were.
    importance
        By measure, fold and feature.
    """

    family: str
    walk: WalkForward
    judgement: ModelJudgement
    importance: pd.DataFrame


def train_model(
    inputs: LearningInputs,
    selection: ModelSelection,
    family: str,
    *,
    seed: int,
    currency: str,
    compute: Compute | None = None,
) -> Trained:
    """Walk a family forward over a symbol's candidates, and judge what came out.

    Parameters
    ----------
    inputs
        Of the symbol.
    selection
        Folds, threshold and hyperparameters.
    family
        Which.
    seed
        Of the model, the bootstrap and the shuffles.
    currency
        Unit of money.
    compute
        Where to train; the processor by default.

    Raises
    ------
    DataError, ConfigurationError
        As :func:`pipeline.learning.walk_forward.walk_forward`.
    """
    walk = walk_family(inputs, selection, family, seed=seed, compute=compute)
    return judged_training(inputs, selection, family, walk, seed=seed, currency=currency)


def judged_training(
    inputs: LearningInputs, selection: ModelSelection, family: str, walk: WalkForward, *, seed: int, currency: str
) -> Trained:
    """Judge a walk-forward's scores, and measure what its models look at; parameters as of :func:`train_model`."""
    kind = walk.final.inputs
    rows = inputs.rows(kind, selection.weights)
    return Trained(
        family,
        walk,
        judged(walk.predictions, inputs.training_set, walk.final, seed=seed, currency=currency),
        walk_forward_importance(
            walk.models,
            rows,
            walk.predictions["fold"],
            seed=seed,
            groups=sequence_groups(rows.features.columns) if kind != "features" else None,
            side_by_side=_worth_processes(rows),
        ),
    )


def checkpointed(
    folder: Path, compute: Compute, observe: Callable[[str, Progress], None] | None = None
) -> Callable[[str], FitOptions]:
    """Options of each fit of a walk-forward by which a killed training goes on; the folder is made.

    Parameters
    ----------
    folder
        Of the checkpoints; to be removed once all is done.
    compute
        Where to train.
    observe
        Called with the fit's name after each epoch or round.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: FitOptions(compute, None if observe is None else partial(observe, name), folder / f"{name}.pt")


def walk_family(
    inputs: LearningInputs,
    selection: ModelSelection,
    family: str,
    *,
    seed: int,
    compute: Compute | None = None,
    options_for: Callable[[str], FitOptions] | None = None,
    make: Callable[[], Model] | None = None,
) -> WalkForward:
    """Walk a family forward over a symbol's candidates.

    Parameters
    ----------
    inputs, selection, family, seed, compute
        As of :func:`train_model`.
    options_for
        How to run the fit of a name; as ``compute`` says without.
    make
        Makes the unfitted model of each fold: one that tunes itself, say. By default the selection's own.

    Raises
    ------
    DataError, ConfigurationError
        As :func:`pipeline.learning.walk_forward.walk_forward`.
    """
    compute = compute or Compute()
    kind = selection.model(family, seed).inputs
    rows = inputs.rows(kind, selection.weights)
    return walk_forward(
        _plan(selection, family, seed, make),
        rows,
        inputs.scored(kind),
        inputs.starts,
        options_for=options_for or (lambda name: FitOptions(compute)),
        pending=inputs.pending,
        side_by_side=make is None and family != CONSTANT and _on_processors(compute) and _worth_processes(rows),
    )


def _on_processors(compute: Compute) -> bool:
    return compute.devices == ("cpu",) and compute.lightgbm_device == "cpu"


def _worth_processes(rows: TrainingRows) -> bool:
    """Return True if there is more to do with each fold than a process of its own costs."""
    return processors() > 1 and rows.features.size >= WORTH_PROCESSES


def final_model(
    inputs: LearningInputs,
    selection: ModelSelection,
    family: str,
    *,
    seed: int,
    compute: Compute | None = None,
    make: Callable[[], Model] | None = None,
) -> Fitted:
    """Fit the final model of :func:`train_model` alone; parameters as there.

    Raises
    ------
    DataError, ConfigurationError
        As :func:`pipeline.learning.walk_forward.fit_final`.
    """
    kind = selection.model(family, seed).inputs
    return fit_final(
        _plan(selection, family, seed, make),
        inputs.rows(kind, selection.weights),
        inputs.starts,
        options=FitOptions(compute or Compute()),
        pending=inputs.pending,
    )


def judged(
    predictions: pd.DataFrame, training_set: pd.DataFrame, model: Model, *, seed: int, currency: str
) -> ModelJudgement:
    """Judge a model's out-of-fold scores."""
    rows = scored_rows(predictions, training_set)
    return judge_model(rows, probabilistic=model.probabilistic, seed=seed, currency=currency)


def baseline_judgements(
    inputs: LearningInputs, selection: ModelSelection, *, seed: int, currency: str
) -> dict[str, ModelJudgement]:
    """Judge the baselines on the same folds: the share of winners so far, and a logistic regression."""
    found = {}
    for family in BASELINES:
        walk = walk_family(inputs, selection, family, seed=seed)
        found[family] = judged(walk.predictions, inputs.training_set, walk.final, seed=seed, currency=currency)
    return found


def training_result(
    trained: Trained,
    inputs: LearningInputs,
    *,
    source: str,
    simulated: bool,
    parameters: Mapping[str, object],
    figures: Mapping[str, float],
    headline: Mapping[str, str],
    plots: Mapping[str, bytes],
) -> TrainingResult:
    """Assemble what is kept of a training in its record and in MLflow."""
    walk, judgement = trained.walk, trained.judgement
    by_fold = (
        judgement.by_fold.reset_index()
        .pivot_table(index="fold", columns="metric", values="value")
        .reindex(walk.folds.index)
    )
    counts = walk.folds[["train_rows", "test_rows", "purged", "embargoed", "scored", "threshold", "seconds"]]
    return TrainingResult(
        model=walk.final,
        example=inputs.scored(walk.final.inputs).dropna(how="all").tail(),
        data_version=inputs.version,
        source=source,
        rows=len(inputs.training_set),
        simulated=simulated,
        parameters=parameters,
        # Those of the summary are of the folds' models; the threshold is the one to use with the model that is kept.
        metrics={**flat_summary(judgement.summary), "final_threshold": walk.final_threshold, **figures},
        folds=pd.concat([by_fold, counts.astype(np.float64)], axis=1),
        logs=walk.logs,
        headline=headline,
        plots=plots,
        tables={
            "summary": judgement.summary,
            "by_fold": judgement.by_fold,
            "calibration": judgement.calibration,
            "thresholds": judgement.thresholds,
            "importance": importance_table(trained.importance),
            "hyperparameters": hyperparameters_by_fold(walk),
            "predictions": walk.predictions,
        },
    )


def hyperparameters_by_fold(walk: WalkForward) -> pd.DataFrame:
    """Return each fold's hyperparameters: the same in all folds, unless each was tuned on its own past.

    Returns
    -------
    DataFrame
        Indexed by fold (1, …, and ``final``), a column a setting, as text.
    """
    fitted = {**{str(number): model for number, model in enumerate(walk.models, 1)}, FINAL: walk.final}
    rows = {fold: model.settings.model_dump(mode="json") for fold, model in fitted.items()}
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("fold")
    return frame.map(_setting)


def _plan(selection: ModelSelection, family: str, seed: int, make: Callable[[], Model] | None) -> FitPlan:
    """How the models of a family are fitted under these settings."""
    weigh = TrainingRows.weighed_by_uniqueness if selection.weights == "uniqueness" else None
    return FitPlan(make or partial(selection.model, family, seed), selection.splitter(), selection.threshold, weigh)


def _setting(value: object) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
