"""Checks of a training: scores out of fold, the chain replayed on bars cut off, the labels shuffled."""

from collections.abc import Iterator

import dagster as dg

from pipeline.audit import TrainingProof
from pipeline.learning.walk_forward import out_of_fold_findings
from pipeline.modelling import LearningInputs, Trained
from pipeline.performance import format_estimate

__all__ = ["OUT_OF_FOLD", "TRAINING_CHECKS", "RefusedError", "training_checks"]

OUT_OF_FOLD = "out_of_fold"

TRAINING_CHECKS = [
    dg.AssetCheckSpec(
        "out_of_fold",
        asset="models",
        blocking=True,
        description="every score's model learned only from labels known before the candidate was decided",
    ),
    dg.AssetCheckSpec(
        "chain_replay",
        asset="models",
        blocking=True,
        description="the chain on bars cut off at a fold's first decision, in a fresh process, ends in a model "
        "whose scores, threshold and gates there are the fold's, to the bit",
    ),
    dg.AssetCheckSpec(
        "label_permutation",
        asset="models",
        blocking=True,
        description="trained on shuffled labels the family finds nothing: fails by chance once in 10,000 trainings",
    ),
]


class RefusedError(Exception):
    """A training that its checks refuse: MLflow's run of it ends as failed."""

    def __init__(self, checks: list[dg.AssetCheckResult]) -> None:
        super().__init__(next(check.description for check in checks if not check.passed))
        self.checks = checks


def training_checks(
    trained: Trained, proof: TrainingProof, inputs: LearningInputs, tuned: str
) -> list[dg.AssetCheckResult]:
    """Results of a training's checks.

    Parameters
    ----------
    trained, proof, inputs
        The training, what was found of look-ahead in it, and what it learned from.
    tuned
        How its hyperparameters were found, in words; empty where they are the settings' own.
    """
    return [_out_of_fold(trained, inputs, tuned), *_proof_checks(proof)]


def _out_of_fold(trained: Trained, inputs: LearningInputs, tuned: str) -> dg.AssetCheckResult:
    predictions = trained.walk.predictions
    found = out_of_fold_findings(predictions, inputs.starts)
    scored = int((predictions["origin"] == OUT_OF_FOLD).sum())
    auc = format_estimate(trained.judgement.summary.loc["auc_within_folds"])
    return dg.AssetCheckResult(
        check_name="out_of_fold",
        asset_key="models",
        passed=found.empty,
        description=f"{trained.family}: {scored:,} of {len(predictions):,} candidates scored out of fold in "
        f"{len(trained.walk.folds)} folds, AUC {auc}{', ' + tuned if tuned else ''}"
        if found.empty
        else f"{len(found)} scores are of models that knew the outcome, first candidate {found.index[0]}",
    )


def _proof_checks(proof: TrainingProof) -> Iterator[dg.AssetCheckResult]:
    """Results of a proof."""
    permutation = proof.permutation
    judged = f"equal at the first decision of fold {proof.fold}"
    if proof.not_judged:
        judged = f"not judged: {proof.not_judged}"
    yield dg.AssetCheckResult(
        check_name="chain_replay",
        asset_key="models",
        passed=not proof.chain,
        description="; ".join(finding.sentence for finding in proof.chain) or judged,
    )
    yield dg.AssetCheckResult(
        check_name="label_permutation",
        asset_key="models",
        passed=not proof.shuffled,
        description="; ".join(finding.sentence for finding in proof.shuffled)
        or ("" if permutation.rows else "not judged: shuffled, a fold has too few winners or losers to learn from"),
        metadata={
            "auc_on_shuffled_labels": permutation.area,
            "deviations": permutation.deviations,
            "probability": permutation.probability,
            "rows": permutation.rows,
        },
    )
