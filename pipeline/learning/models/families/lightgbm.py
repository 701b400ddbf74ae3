"""Gradient-boosted trees that learn the chance of ending above zero."""

from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.learning.models.boosting import BoostedModel, Task
from pipeline.learning.models.rows import TrainingRows

__all__ = ["BoostedClassifier"]

_LEAST = 1e-15


class BoostedClassifier(BoostedModel):
    """LightGBM on log loss, starting from the weighted share above zero; the score is a probability."""

    family: ClassVar[str] = "lightgbm"

    def _task(self, rows: TrainingRows) -> Task:
        return Task("binary", rows.label, _log_loss)

    def _predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        return self._answer(features)


def _log_loss(chance: NDArray[np.float64], rows: TrainingRows) -> float:
    of_truth = np.where(rows.label == 1, chance, 1 - chance)
    return -float(np.average(np.log(np.maximum(of_truth, _LEAST)), weights=rows.weight))
