"""Shuffled labels: a training that finds something in them finds it where nothing is.

The outcomes of each test block are shuffled among its own trades, and so are those before the first block; then the
family is walked forward as in its training. Whatever the models learned, the labels of a block are in random order
to their scores, so the area under the ROC curve within folds has the distribution of Mann and Whitney's U under the
null hypothesis, exactly: the test is one of the code, not of the market.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from pipeline.audit.report import Finding
from pipeline.learning.compute import Compute
from pipeline.learning.splits import PurgedWalkForward
from pipeline.learning.walk_forward import too_few_rows
from pipeline.modelling import LearningInputs, walk_family
from pipeline.performance import scored_rows
from pipeline.settings import ModelSelection

__all__ = ["FALSE_ALARMS", "Permutation", "check_permutation", "shuffled_outcomes"]

FALSE_ALARMS = 1e-4
"""The share of sound trainings that fail."""

_SHUFFLED = ["label", "r_multiple", "net"]


@dataclass(frozen=True)
class Permutation:
    """Score of a family trained on shuffled labels.

    Attributes
    ----------
    area
        Area under the ROC curve of pairs scored by one model; NaN where all scores of each fold are alike.
    deviations
        How far from 0.5, in standard deviations under the null hypothesis.
    rows
        Trades judged.
    """

    area: float
    deviations: float
    rows: int

    @property
    def probability(self) -> float:
        """Probability of so large a deviation in a sound training, two-sided."""
        return 1.0 if np.isnan(self.area) else float(2 * norm.sf(abs(self.deviations)))

    def findings(self, family: str) -> list[Finding]:
        """One where chance does not explain the area."""
        if self.probability >= FALSE_ALARMS:
            return []
        return [
            Finding(
                "permutation",
                family,
                f"{self.rows} trades scored out of fold",
                "AUC 0.5 on shuffled labels",
                f"AUC {self.area:.3f}, {self.deviations:+.1f} standard deviations",
                "the scores know the labels that they are judged on: a label among the inputs, scores of rows that "
                "the model learned from, or an evaluation that mixes the two",
            )
        ]


def check_permutation(
    inputs: LearningInputs, selection: ModelSelection, family: str, *, seed: int, compute: Compute | None = None
) -> Permutation:
    """Walk a family forward on shuffled outcomes, and see how well its scores rank them.

    Without calibration, tuning and tuned threshold, none of which changes a rank within a fold: a fit a fold.

    Raises
    ------
    DataError
        As :func:`pipeline.learning.walk_forward.walk_forward`.
    """
    shuffled = shuffled_outcomes(inputs, selection.splitter(), seed)
    parameters = {**selection.parameters.get(family, {}), "calibration": "none"}
    plain = selection.model_copy(update={"threshold": 0.5, "parameters": {**selection.parameters, family: parameters}})
    kind = selection.model(family, seed).inputs
    if too_few_rows(shuffled.rows(kind, selection.weights), selection.splitter()):
        return Permutation(float("nan"), 0.0, 0)  # shuffled, a fold has too few of one kind to learn from
    walk = walk_family(shuffled, plain, family, seed=seed, compute=compute)
    rows = scored_rows(walk.predictions, shuffled.training_set)
    excess, variance, pairs = 0.0, 0.0, 0
    for _, fold in rows.groupby("fold"):
        above, own, count = _mann_whitney(fold["score"].to_numpy(np.float64), fold["label"].to_numpy(np.float64))
        excess, variance, pairs = excess + above, variance + own, pairs + count
    if variance <= 0:
        return Permutation(float("nan"), 0.0, len(rows))
    return Permutation(float(0.5 + excess / pairs), float(excess / np.sqrt(variance)), len(rows))


def shuffled_outcomes(inputs: LearningInputs, splitter: PurgedWalkForward, seed: int) -> LearningInputs:
    """The same inputs, the outcomes of each block in random order among its trades; times and weights stay."""
    frame = inputs.training_set.copy()
    roles = splitter.roles(frame)
    block = np.zeros(len(frame), np.int64)
    for number, name in enumerate(roles, 1):
        block[(roles[name] == "test").to_numpy()] = number
    random = np.random.default_rng(seed)
    order = np.arange(len(frame))
    for number in np.unique(block):
        held = np.flatnonzero(block == number)
        order[held] = random.permutation(held)
    frame[_SHUFFLED] = inputs.training_set[_SHUFFLED].to_numpy()[order]
    return replace(inputs, training_set=frame)


def _mann_whitney(scores: NDArray[np.float64], label: NDArray[np.float64]) -> tuple[float, float, int]:
    """U beyond its mean, its variance under the null hypothesis with ties, and the number of pairs."""
    ones, count = int((label > 0).sum()), len(label)
    pairs = ones * (count - ones)
    if pairs == 0:
        return 0.0, 0.0, 0
    ranks = rankdata(scores)
    excess = float(ranks[label > 0].sum()) - ones * (ones + 1) / 2 - pairs / 2
    ties = np.unique(scores, return_counts=True)[1].astype(np.float64)
    variance = pairs / 12 * (count + 1 - float((ties**3 - ties).sum()) / (count * (count - 1)))
    return excess, variance, pairs
