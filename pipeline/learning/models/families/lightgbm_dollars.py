"""Gradient-boosted trees that learn to make money rather than to be right."""

from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.learning.models.boosting import BoostedModel, BoostingSettings, Share, Task
from pipeline.learning.models.dollar_objective import (
    dollar_curvature,
    dollar_gradient,
    dollar_loss,
    dollar_scale,
    dollar_start,
)
from pipeline.learning.models.protocol import ModelSettings
from pipeline.learning.models.rows import TrainingRows

__all__ = ["BoostedDollars", "BoostedDollarsSettings"]


class BoostedDollarsSettings(BoostingSettings):
    """Settings of :class:`BoostedDollars`.

    Attributes
    ----------
    learning_rate
        Larger than the classifier's: what a leaf answers is its net over its gross result, a tenth or so, not the
        distance to a label. Up to 0.85 each tree lowers the training loss.
    feature_fraction
        Larger too: the gradient of this loss does not vanish where a leaf's result is known, so a tree that was given
        no feature to part winners from losers by moves all scores the way of the average.
    """

    learning_rate: Share = 0.1
    feature_fraction: Share = 0.6


class BoostedDollars(BoostedModel):
    """LightGBM on net dollars: the score is the share of a trade to take, and the trees raise what that makes.

    Above 0.5 the trees expect a profit after costs, below it a loss; scores are not probabilities. Loss, gradient and
    the curvature that replaces the hessian are derived in ``docs/dollar_objective.md``. Losses in the training log are
    minus the dollars a candidate makes, over the training rows' mean size of a result.
    """

    family: ClassVar[str] = "lightgbm_dollars"
    probabilistic = False
    Settings: ClassVar[type[ModelSettings]] = BoostedDollarsSettings
    settings: BoostedDollarsSettings
    learns_from: ClassVar[tuple[str, ...]] = ("net",)

    def _task(self, rows: TrainingRows) -> Task:
        net, weight = rows.net, rows.weight
        scale = dollar_scale(net, weight)

        def loss(raw: NDArray[np.float64], of: TrainingRows) -> float:
            return dollar_loss(raw, of.net, of.weight, scale) / float(np.sum(of.weight))

        def gradient(raw: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            return dollar_gradient(raw, net, weight, scale), dollar_curvature(raw, net, weight, scale)

        return Task("custom", rows.label, loss, gradient, dollar_start(net, weight))

    def _predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        from scipy.special import expit

        return np.asarray(expit(self._answer(features)), dtype=np.float64)
