"""The model that looks at nothing: what every other must beat."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.learning.models.fit_options import FitOptions
from pipeline.learning.models.outcomes import check_outcomes
from pipeline.learning.models.protocol import Model
from pipeline.learning.models.rows import TrainingRows

__all__ = ["Constant"]


class Constant(Model):
    """Gives every candidate the chance that trades like those learned from ended above zero.

    With the weights as observations, s of them above zero out of n, it is (s + 1) / (n + 2): the posterior mean from a
    uniform prior, as elsewhere in this project. It is never 0 or 1, so that its log loss is finite even where it
    learned from one class only, which no other family accepts.
    """

    family: ClassVar[str] = "constant"

    def _fit(self, rows: TrainingRows, options: FitOptions) -> None:
        check_outcomes(rows)
        above = float(np.sum(rows.weight * rows.label))
        self._chance = (above + 1) / (float(np.sum(rows.weight)) + 2)

    def _predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        return np.full(len(features), self._chance)

    def _save(self, folder: Path) -> Mapping[str, Any]:
        return {"chance": self._chance}

    def _load(self, folder: Path, extra: Mapping[str, Any]) -> None:
        self._chance = float(extra["chance"])
