"""The protocol of every model family: fit, predict_proba, save, load, and what it needs."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import ConfigurationError, DataError
from pipeline.frozen_settings import FrozenSettings, SettingError
from pipeline.learning.calibration import Calibration, Calibrator, calibrator_from_json, fit_calibrator
from pipeline.learning.models.fit_options import FitOptions
from pipeline.learning.models.out_of_fold import at_level, level_of, out_of_fold_evidence
from pipeline.learning.models.rows import TrainingRows
from pipeline.search_space import SearchSpace

__all__ = ["Inputs", "Model", "ModelSettings"]

MANIFEST = "model.json"

Inputs = Literal["features", "sequences", "both"]


class ModelSettings(FrozenSettings):
    """Base of each family's hyperparameters: frozen, and an unknown name is an error.

    Attributes
    ----------
    calibration
        How scores become probabilities: ``platt``, ``isotonic``, or ``none``, as they are.
    calibration_folds
        Folds of the training rows whose out-of-fold scores calibration, a tuned threshold and an ensemble's weights
        are made from.
    """

    calibration: Calibration = "none"
    calibration_folds: int = Field(5, ge=2, le=50)


@dataclass(frozen=True)
class _Manifest:
    family: str
    version: int
    columns: tuple[str, ...]
    settings: Mapping[str, Any]
    seed: int
    libraries: Mapping[str, str]
    extra: Mapping[str, Any] = field(default_factory=dict)
    calibrator: Mapping[str, Any] | None = None


class Model(ABC):
    """A binary classifier of candidates: the chance, or a score from 0 to 1, that a trade ends above zero.

    A family is one class in one file of ``pipeline/learning/models/families``; nothing else has to be touched. What
    it learns, scaling included, comes from the rows that :meth:`fit` is given and no others.

    Attributes
    ----------
    family
        Its name, by which it is chosen, stored and registered.
    version
        Of its saved form; raised when an older file would be read wrongly.
    inputs
        ``features`` (the side-aware table), ``sequences`` (the last sessions step by step), or ``both`` side by side
        in one frame. An ensemble's depends on its members: ask the model, not the family.
    probabilistic
        Whether a score is meant as the probability of ending above zero. Where not, 0.5 parts expected profit from
        expected loss, and log loss, Brier score and calibration say nothing. A calibrated model's are probabilities,
        whatever its family's are.
    packages
        Distributions that predicting needs, beyond numpy, pandas, scikit-learn and this project's own.
    uses_device
        Whether it runs on torch's device.
    Settings
        Its hyperparameters.
    space
        Those of them that tuning changes, and between which values; each point makes valid settings.
    calibrator
        What the last fit learned to turn raw scores into probabilities; None where nothing was asked for.
    out_of_fold
        Scores of the last fit's rows, each by a model that did not learn from it, put through the calibrator; None
        where the fit made none. Not saved.
    columns
        Features it was fitted on, in order; empty before.
    training_log
        One row per epoch or round of the last fit (index ``step``), a column per figure; may be empty.
    """

    family: ClassVar[str]
    version: ClassVar[int] = 1
    inputs: Inputs = "features"
    probabilistic: bool = True
    packages: tuple[str, ...] = ()
    uses_device: bool = False
    Settings: ClassVar[type[ModelSettings]] = ModelSettings
    space: ClassVar[SearchSpace] = SearchSpace()

    def __init__(self, settings: ModelSettings | Mapping[str, Any] | None = None, *, seed: int = 0) -> None:
        """Make an unfitted model.

        Raises
        ------
        ConfigurationError
            For an unknown or impossible hyperparameter: names family and setting.
        """
        self.settings = _settled(type(self), settings)
        self.seed = seed
        self.columns: tuple[str, ...] = ()
        self.calibrator: Calibrator | None = None
        self.out_of_fold: pd.Series | None = None
        if self.settings.calibration != "none":
            self.probabilistic = True
        self.training_log = pd.DataFrame(index=pd.RangeIndex(0, name="step"))

    def fit(self, rows: TrainingRows, options: FitOptions | None = None) -> Self:
        """Learn from rows; where calibration is asked for, from purged out-of-fold scores of the same rows.

        Raises
        ------
        DataError
            For no rows, one class only (but :class:`Constant`), no column with a known value, infinite values, too few
            rows for the inner folds.
        """
        _check_rows(self, rows)
        options = options or FitOptions()
        self.columns = tuple(rows.features.columns)
        self.calibrator = self.out_of_fold = None
        self._fit(rows, options)
        if self.settings.calibration != "none":
            raw = self.score_out_of_fold(rows, options)
            self.calibrator = fit_calibrator(self.settings.calibration, raw.to_numpy(), rows.label, rows.weight)
            self.out_of_fold = pd.Series(self.calibrator.apply(raw.to_numpy()), raw.index, name="score")
        return self

    def score_out_of_fold(self, rows: TrainingRows, options: FitOptions | None = None) -> pd.Series:
        """Raw scores of the rows this model was fitted on, by fresh copies that learned neither from them nor beside.

        The rows are cut into ``calibration_folds`` folds in order of time; each is scored by a copy fitted on the
        others, purged of labels whose lives meet the fold's. Each fold's scores are brought to the level of this
        model's (see :mod:`pipeline.learning.models.out_of_fold`); but for that, this model has no part in it.

        Returns
        -------
        Series
            float64, index as the rows, before calibration.

        Raises
        ------
        DataError
            For a model that is not fitted, too few rows, or an inner fold without rows of both classes to learn from.
        """
        _check_rows(self, rows)
        level = level_of(self._predict(self._own_columns(rows.features)), rows.weight)
        evidence = self._inner_evidence(rows, options or FitOptions())
        return pd.Series(at_level(evidence, level), rows.outcome.index, name="score")

    def fresh(self, **changes: Any) -> Self:
        """An unfitted model of the same settings, but for these, and the same seed."""
        return type(self)({**self.settings.model_dump(), **changes}, seed=self.seed)

    def predict_proba(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Score of each row, 0 to 1, shape (n,).

        Columns are found by name: their order does not matter and others are left aside.

        Raises
        ------
        DataError
            For a model that is not fitted, a missing or doubled column, one that holds no numbers, infinite values.
        """
        own = self._own_columns(features)
        scores = self._predict(own) if len(own) else np.empty(0, np.float64)
        return scores if self.calibrator is None else self.calibrator.apply(scores)

    def contributions(self, features: pd.DataFrame) -> pd.DataFrame | None:
        """SHAP values of each row and feature on the scale of the raw score, where the family has them exactly."""
        return None

    def gain(self) -> pd.Series | None:
        """Importance by the family's own measure, by feature, where it has one."""
        return None

    def save(self, folder: Path) -> None:
        """Write the model into a folder, created if missing: JSON and the library's own format, no pickle."""
        folder.mkdir(parents=True, exist_ok=True)
        extra = self._save(folder)
        names = ("numpy", "pandas", "scikit-learn", *self.packages)
        manifest = {
            "family": self.family,
            "version": self.version,
            "columns": list(self.columns),
            "settings": self.settings.model_dump(mode="json"),
            "seed": self.seed,
            "libraries": {name: installed_version(name) for name in names},
            "calibrator": None if self.calibrator is None else self.calibrator.to_json(),
            "extra": extra,
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model of this family; its predictions are those before saving, to the bit.

        Raises
        ------
        DataError
            For a folder that holds no such model, another family's, one of another version, or a broken file.
        """
        manifest = read_manifest(folder)
        if manifest.family != cls.family:
            raise DataError(f"{folder} holds a {manifest.family} model, not {cls.family}; load it with that class")
        if manifest.version != cls.version:
            raise DataError(
                f"{folder} holds a {cls.family} model of version {manifest.version}, and this is version "
                f"{cls.version}; train it again, or use the release it was trained with"
            )
        model = cls(manifest.settings, seed=manifest.seed)
        model.columns = manifest.columns
        try:
            if manifest.calibrator is not None:
                model.calibrator = calibrator_from_json(manifest.calibrator)
            model._load(folder, manifest.extra)
        except (OSError, KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"the {cls.family} model in {folder} is broken ({type(error).__name__}: "
                f"{' '.join(str(error).split())[:200]}); train it again"
            ) from error
        return model

    @abstractmethod
    def _fit(self, rows: TrainingRows, options: FitOptions) -> None: ...

    @abstractmethod
    def _predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Scores; the columns are those of the fit, float64, in their order."""

    @abstractmethod
    def _save(self, folder: Path) -> Mapping[str, Any]:
        """Write files, hand back what goes into the manifest (JSON)."""

    @abstractmethod
    def _load(self, folder: Path, extra: Mapping[str, Any]) -> None: ...

    def _inner_evidence(self, rows: TrainingRows, options: FitOptions) -> NDArray[np.float64]:
        """Return each row's out-of-fold evidence from fresh copies, shape (n,); cheaper ways override it."""
        folds = self.settings.calibration_folds
        return out_of_fold_evidence(lambda: self.fresh(calibration="none"), rows, folds, options)

    def _own_columns(self, features: pd.DataFrame) -> pd.DataFrame:
        who = f"this {self.family} model"
        if not self.columns:
            raise DataError(f"{who} is not fitted; fit or load it first")
        if not isinstance(features, pd.DataFrame):
            raise DataError(f"{who} takes a pandas DataFrame, not {type(features).__name__}")
        if features.columns.equals(pd.Index(self.columns)):
            return _numbers(features, who)
        held = set(features.columns)
        if absent := [name for name in self.columns if name not in held]:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise DataError(
                f"{who} was trained on {len(self.columns)} features, and {absent[0]}{more} is missing; compute the "
                "features as for training"
            )
        own = features[list(self.columns)]
        if own.shape[1] != len(self.columns):
            twice = next(name for name in self.columns if (features.columns == name).sum() > 1)
            raise DataError(f"{who} was trained on {twice} once, and it comes more than once; keep one of them")
        return _numbers(own, who)


def read_manifest(folder: Path) -> _Manifest:
    """Read the manifest of a model folder.

    Raises
    ------
    DataError
        For a folder without a manifest, or with a broken one.
    """
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return _Manifest(
            family=str(raw["family"]),
            version=int(raw["version"]),
            columns=tuple(map(str, raw["columns"])),
            settings=dict(raw["settings"]),
            seed=int(raw["seed"]),
            libraries=dict(raw["libraries"]),
            extra=dict(raw["extra"]),
            calibrator=None if raw["calibrator"] is None else dict(raw["calibrator"]),
        )
    except FileNotFoundError as error:
        raise DataError(
            f"{folder} holds no model: there is no {MANIFEST}; give the folder a model was saved in"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is broken ({type(error).__name__}: {error}); train the model again") from error


def _settled(cls: type[Model], settings: ModelSettings | Mapping[str, Any] | None) -> ModelSettings:
    if isinstance(settings, cls.Settings):
        return settings
    given = settings.model_dump() if isinstance(settings, ModelSettings) else dict(settings or {})
    try:
        return cls.Settings(**given)
    except SettingError as error:
        raise ConfigurationError(f"{cls.family}: {error}") from error


def _check_rows(model: Model, rows: TrainingRows) -> None:
    if len(rows) == 0 or rows.features.shape[1] == 0:
        raise DataError(
            f"{model.family} has {'no rows' if len(rows) == 0 else 'no features'} to learn from; add earlier bars"
        )
    label = rows.label
    if not np.isin(label, (0.0, 1.0)).all():
        raise DataError("labels must be 0 or 1; leave out rows without one (asset training_set has none)")
    if model.family != "constant" and len(np.unique(label)) < 2:
        raise DataError(
            f"all {len(rows)} training rows have the label {label[0]:.0f}: {model.family} can't learn to tell trades "
            "apart; add earlier bars or use fewer folds"
        )
    values = _numbers(rows.features, model.family)
    if not values.notna().any(axis=None):
        raise DataError(f"no feature has a value in any of the {len(rows)} training rows; add earlier bars")


def _numbers(features: pd.DataFrame, who: str) -> pd.DataFrame:
    kinds = features.dtypes
    types = pd.api.types
    unreal = {kind for kind in set(kinds) if not types.is_numeric_dtype(kind) or types.is_complex_dtype(kind)}
    for name, kind in kinds.items() if unreal else ():
        if kind in unreal:
            raise DataError(f"{who}: feature {name} holds {kind}, not numbers; convert it")
    values = features.astype(np.float64)
    infinite = np.isinf(values.to_numpy())
    if infinite.any():
        row, column = (int(place) for place in np.argwhere(infinite)[0])
        raise DataError(
            f"{who}: feature {features.columns[column]} is infinite in row {features.index[row]}; fix the feature, or "
            "make it missing"
        )
    return values
