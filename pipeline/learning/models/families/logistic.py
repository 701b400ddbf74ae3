"""Logistic regression: the linear baseline."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, field_validator

from pipeline.learning.models.files import read_sealed, write_sealed
from pipeline.learning.models.fit_options import FitOptions
from pipeline.learning.models.outcomes import check_outcomes
from pipeline.learning.models.protocol import Model, ModelSettings
from pipeline.learning.models.rows import TrainingRows
from pipeline.search_space import Choice, Real, SearchSpace

__all__ = ["Logistic", "LogisticSettings"]

_FILE = "logistic.json"


class LogisticSettings(ModelSettings):
    """Settings of :class:`Logistic`.

    Attributes
    ----------
    strength
        scikit-learn's ``C``, the inverse of the ridge penalty, which is the prior variance of a coefficient per
        standard deviation of its feature. By default two hundred features that tell things apart are expected to
        move the log odds by √(200 × 0.001) ≈ 0.45 together.
    winsorize
        Quantiles of the training rows to which features are drawn in; None for none.
    signed_log
        Whether tails are drawn in by sign(x) log(1 + abs x).
    max_iterations
        Newton steps at most; some ten are enough.
    """

    strength: float = Field(0.001, gt=0, allow_inf_nan=False)
    winsorize: tuple[float, float] | None = (0.01, 0.99)
    signed_log: bool = False
    max_iterations: int = Field(100, ge=1)

    @field_validator("winsorize")
    @classmethod
    def _rising(cls, quantiles: tuple[float, float] | None) -> tuple[float, float] | None:
        if quantiles is not None and not 0 <= quantiles[0] < quantiles[1] <= 1:
            raise ValueError("give 0 ≤ lower < upper ≤ 1, or null for none")
        return quantiles


class Logistic(Model):
    """Ridge-penalised logistic regression on scaled features, fitted by Newton's method with sample weights.

    Missing values become the median, and an indicator says where, if training rows had some; a gap in a feature that
    had none becomes the median with a warning (:class:`~pipeline.learning.MissingValues`, ``impute``). Features often
    lack the same rows, and of indicators that are copies one stays, else the penalty on their common effect would
    shrink with their number.

    Everything is worked out on one thread: how many there are changes no bit.
    """

    family: ClassVar[str] = "logistic"
    Settings: ClassVar[type[ModelSettings]] = LogisticSettings
    space: ClassVar[SearchSpace] = SearchSpace(
        {
            "strength": Real(1e-6, 10.0, log=True),
            "winsorize": Choice([None, (0.01, 0.99), (0.05, 0.95)]),
            "signed_log": Choice([False, True]),
        }
    )
    settings: LogisticSettings

    def _fit(self, rows: TrainingRows, options: FitOptions) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import Pipeline
        from threadpoolctl import threadpool_limits

        from pipeline.learning.transforms import DropUninformative, feature_transforms

        check_outcomes(rows)
        settings = self.settings
        usual = feature_transforms("impute", winsorize=settings.winsorize, signed_log=settings.signed_log)
        self._transforms = Pipeline([*usual.steps, ("copies", DropUninformative())])
        values = _array(self._transforms.fit_transform(rows.features.astype(np.float64)))
        line = LogisticRegression(
            C=settings.strength, solver="newton-cholesky", tol=1e-8, max_iter=settings.max_iterations
        )
        with threadpool_limits(1):
            line.fit(values, rows.label, sample_weight=rows.weight)
        self._coefficients = line.coef_[0].astype(np.float64)
        self._intercept = float(line.intercept_[0])
        self._background = np.average(values, axis=0, weights=rows.weight)
        moved = np.abs((values - self._background) * self._coefficients)
        self._moves = np.average(moved, axis=0, weights=rows.weight)

    def _predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        from scipy.special import expit

        # Not a matrix product: there a row's rounding depends on how many rows are beside it.
        products = _array(self._transforms.transform(features)) * self._coefficients
        return np.asarray(expit(products.sum(axis=1) + self._intercept), dtype=np.float64)

    def contributions(self, features: pd.DataFrame) -> pd.DataFrame:
        """SHAP values of a linear model: (value − training mean) × coefficient, in log odds, shape (n, k).

        An indicator's goes to its feature; of equal indicators, to the first one's.
        """
        own = self._own_columns(features)
        moved = (_array(self._transforms.transform(own)) - self._background) * self._coefficients
        return self._by_feature(pd.DataFrame(moved, own.index))

    def gain(self) -> pd.Series:
        """Mean size of a feature's contribution over the training rows, in log odds."""
        return self._by_feature(pd.DataFrame([self._moves])).iloc[0].rename("gain")

    def _by_feature(self, values: pd.DataFrame) -> pd.DataFrame:
        policy = self._transforms.named_steps["missing"]
        source = {f"{name}_missing": name for name in policy.indicated_}
        owners = [source.get(name, name) for name in self._transforms[-1].get_feature_names_out()]
        summed = values.set_axis(owners, axis="columns").T.groupby(level=0).sum().T
        return summed.reindex(columns=list(self.columns), fill_value=0.0)

    def _save(self, folder: Path) -> Mapping[str, Any]:
        from pipeline.learning.models.saved_transforms import transforms_to_json

        learned = {
            "transforms": transforms_to_json(self._transforms),
            "coefficients": self._coefficients.tolist(),
            "intercept": self._intercept,
            "background": self._background.tolist(),
            "moves": self._moves.tolist(),
        }
        return {"sha256": write_sealed(folder / _FILE, json.dumps(learned, allow_nan=False))}

    def _load(self, folder: Path, extra: Mapping[str, Any]) -> None:
        from pipeline.learning.models.saved_transforms import transforms_from_json

        learned = json.loads(read_sealed(folder / _FILE, extra["sha256"]))
        self._transforms = transforms_from_json(learned["transforms"])
        self._coefficients = np.array(learned["coefficients"], dtype=np.float64)
        self._intercept = float(learned["intercept"])
        self._background = np.array(learned["background"], dtype=np.float64)
        self._moves = np.array(learned["moves"], dtype=np.float64)


def _array(frame: pd.DataFrame) -> NDArray[np.float64]:
    return np.ascontiguousarray(frame.to_numpy(np.float64))
