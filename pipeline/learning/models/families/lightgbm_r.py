"""Gradient-boosted trees that learn the R multiple."""

from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.learning.models.boosting import BoostedModel, BoostingSettings, Task
from pipeline.learning.models.protocol import ModelSettings
from pipeline.learning.models.rows import TrainingRows

__all__ = ["BoostedR", "BoostedRSettings"]


class BoostedRSettings(BoostingSettings):
    """Settings of :class:`BoostedR`.

    Attributes
    ----------
    scale
        R multiples that lie between the scores 0.5 and 0.73 (σ(0) and σ(1)).
    """

    scale: float = Field(1.0, gt=0, allow_inf_nan=False)


class BoostedR(BoostedModel):
    """LightGBM on the squared error of the R multiple; the score is σ(r̂ / scale): 0.5 where r̂ is zero.

    A score is not a probability; :meth:`predict_r` gives r̂ itself.
    """

    family: ClassVar[str] = "lightgbm_r"
    probabilistic = False
    learns_from: ClassVar[tuple[str, ...]] = ("r_multiple",)
    Settings: ClassVar[type[ModelSettings]] = BoostedRSettings
    settings: BoostedRSettings

    def predict_r(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Expected R multiple of each row, shape (n,).

        Raises
        ------
        DataError
            As :meth:`predict_proba`.
        """
        return self._answer(self._own_columns(features))

    def _task(self, rows: TrainingRows) -> Task:
        return Task("regression", rows.r_multiple, _squared_error)

    def _predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        from scipy.special import expit

        return np.asarray(expit(self._answer(features) / self.settings.scale), dtype=np.float64)


def _squared_error(predicted: NDArray[np.float64], rows: TrainingRows) -> float:
    return float(np.average((predicted - rows.r_multiple) ** 2, weights=rows.weight))
