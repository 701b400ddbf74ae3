"""Common parts of the LightGBM families: settings, growing trees with early stopping, importance, saving."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from sklearn.pipeline import Pipeline

from pipeline.errors import DataError
from pipeline.learning.compute import Compute
from pipeline.learning.models.files import read_sealed, write_sealed
from pipeline.learning.models.outcomes import check_outcomes
from pipeline.learning.models.protocol import FitOptions, Model, ModelSettings, Progress
from pipeline.learning.models.rows import TrainingRows
from pipeline.learning.models.saved_transforms import transforms_from_json, transforms_to_json
from pipeline.learning.models.trees_text import require_sound_trees
from pipeline.learning.transforms import feature_transforms
from pipeline.learning.validation import validation_slice
from pipeline.search_space import Real, SearchSpace, Whole

if TYPE_CHECKING:
    from lightgbm import Booster

__all__ = ["BoostedModel", "BoostingSettings", "Task"]

_log = logging.getLogger(__name__)

_FILE = "lightgbm.txt"

# Below so many values (rows × columns) another thread costs more than it brings. 200 trees on two cores, one thread and
# three: 1,400 × 210 0.19 s and 0.65 s, 30,000 × 60 0.86 s and 0.77 s; and where both cores are busy, ten times that.
WORTH_THREADS = 2_000_000

_GIVEN_TO_LIGHTGBM = {
    "learning_rate",
    "num_leaves",
    "max_depth",
    "min_data_in_leaf",
    "feature_fraction",
    "bagging_fraction",
    "lambda_l1",
    "lambda_l2",
    "min_gain_to_split",
    "max_bin",
}

Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class BoostingSettings(ModelSettings):
    """Settings for growing trees; names are LightGBM's where it has one.

    The defaults are for about a thousand rows of two hundred features: shallow trees of few, large leaves, each from
    a part of rows and features, drawn towards zero.

    Attributes
    ----------
    rounds
        Trees at most.
    patience
        Rounds without a lower validation loss after which growing stops.
    validation_share
        Newest share of the rows, purged, that tells when to stop. 0: none, ``rounds`` trees are grown on all rows.
    refit
        Whether to grow again on all rows for as many rounds as were best. Else the trees up to the best round are
        kept, which never saw the validation rows.
    learning_rate
        Share of each tree's answer that is added.
    num_leaves, max_depth
        Of a tree, at most; ``max_depth`` −1 for no limit.
    min_data_in_leaf
        Rows a leaf, at least.
    feature_fraction, bagging_fraction
        Share of features, and of rows, that each tree is grown from.
    lambda_l1, lambda_l2
        Penalties on a leaf's answer, in units of sample weight.
    min_gain_to_split
        Least gain of a split.
    max_bin
        Bins a feature.
    """

    rounds: int = Field(400, ge=1, le=100_000)
    patience: int = Field(50, ge=1)
    validation_share: float = Field(0.2, ge=0, lt=1, allow_inf_nan=False)
    refit: bool = True
    learning_rate: Share = 0.03
    num_leaves: int = Field(6, ge=2, le=131_072)
    max_depth: int = Field(3, ge=-1)
    min_data_in_leaf: int = Field(30, ge=1)
    feature_fraction: Share = 0.3
    bagging_fraction: Share = 0.7
    lambda_l1: float = Field(0.0, ge=0, allow_inf_nan=False)
    lambda_l2: float = Field(10.0, ge=0, allow_inf_nan=False)
    min_gain_to_split: float = Field(0.0, ge=0, allow_inf_nan=False)
    max_bin: int = Field(63, ge=2, le=65_535)


@dataclass(frozen=True)
class Task:
    """Objective of the trees on some rows.

    Attributes
    ----------
    objective
        LightGBM's name for it; ``custom`` where ``gradient`` is given.
    target
        What is predicted, shape (n,).
    loss
        Weighted mean loss of predictions for any rows: LightGBM's own scale, raw scores where it is ``custom``.
    gradient
        Gradient and positive curvature of each row, weights included, at the raw scores.
    start
        Raw score before the first tree, where ``gradient`` is given; LightGBM finds its own for its own objectives.
    """

    objective: str
    target: NDArray[np.float64]
    loss: Callable[[NDArray[np.float64], TrainingRows], float]
    gradient: Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]] | None = None
    start: float = 0.0


@dataclass(frozen=True)
class _Grown:
    """Trees, what comes before them, the round they are cut off after, and the losses round by round."""

    text: str
    transforms: Pipeline
    start: float
    rounds: int
    losses: pd.DataFrame


class BoostedModel(Model):
    """Gradient-boosted trees; a family says what they learn (:meth:`_task`) and what their answer means as a score.

    Features that tell nothing apart are left out, missing values stay missing (but for a gap in a feature that had none
    in training, which LightGBM would take for zero: the median stands in), and nothing is scaled, for trees ask for
    order only. Rows count by their weight.

    Early stopping looks at the newest rows, purged (:func:`~pipeline.learning.validation.validation_slice`), and is
    worked out here in float64, not by LightGBM, whose sums depend on the number of threads. On the processor a fit
    gives the same bytes each time, whatever that number is; on a GPU LightGBM promises no such thing. A fit takes less
    than a second, and :attr:`FitOptions.checkpoint` is not used.

    Attributes
    ----------
    rounds
        Boosting rounds it holds after a fit.
    learns_from
        Outcomes besides the label that must be known.
    """

    packages = ("lightgbm",)
    Settings: ClassVar[type[ModelSettings]] = BoostingSettings
    space: ClassVar[SearchSpace] = SearchSpace(
        {
            "learning_rate": Real(0.005, 0.3, log=True),
            "num_leaves": Whole(2, 64, log=True),
            "max_depth": Whole(1, 8),
            "min_data_in_leaf": Whole(5, 200, log=True),
            "feature_fraction": Real(0.05, 1.0),
            "bagging_fraction": Real(0.3, 1.0),
            "lambda_l1": Real(0.0, 10.0),
            "lambda_l2": Real(0.1, 1000.0, log=True),
            "min_gain_to_split": Real(0.0, 2.0),
        }
    )
    settings: BoostingSettings

    learns_from: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def _task(self, rows: TrainingRows) -> Task:
        """Return the objective for these training rows."""

    def _fit(self, rows: TrainingRows, options: FitOptions) -> None:
        check_outcomes(rows, *self.learns_from)
        settings = self.settings
        found: _Grown | None = None
        if settings.validation_share > 0:
            train, validation = validation_slice(rows.outcome, settings.validation_share)
            learned = rows.take(train)
            self._check_slice(learned)
            found = self._grow(learned, rows.take(validation), settings.rounds, options)
        if found is None or settings.refit:
            grown = self._grow(rows, None, found.rounds if found else settings.rounds, options)
        else:
            grown = found
        self.training_log = grown.losses if found is None else found.losses
        if found is not None and grown is not found:
            self.training_log = found.losses.join(grown.losses.add_prefix("refit_"))
        self._text, self._transforms, self._start = grown.text, grown.transforms, grown.start
        self.rounds = grown.rounds
        self._booster = _parse(grown.text)

    def contributions(self, features: pd.DataFrame) -> pd.DataFrame:
        """SHAP values on the trees' raw scale, exact by TreeSHAP (Lundberg and others 2020), shape (n, k)."""
        own = self._own_columns(features)
        kept = self._transforms.get_feature_names_out()
        values = np.zeros((0, len(kept) + 1))
        if len(own):
            values = np.asarray(self._booster.predict(self._matrix(own), pred_contrib=True, num_threads=1))
        # The last column is the mean raw score, no feature's.
        shares = pd.DataFrame(values[:, :-1], own.index, kept)
        return shares.reindex(columns=list(self.columns), fill_value=0.0)

    def gain(self) -> pd.Series:
        """Loss that splits on a feature took away in training, by LightGBM's count."""
        values = self._booster.feature_importance("gain")
        kept = pd.Series(values, self._transforms.get_feature_names_out(), dtype=np.float64, name="gain")
        return kept.reindex(list(self.columns), fill_value=0.0)

    def _answer(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return the raw output: LightGBM's own scale, or the raw scores of a custom objective; shape (n,)."""
        if not len(features):
            return np.empty(0, np.float64)
        trees = np.asarray(self._booster.predict(self._matrix(features), num_threads=1), dtype=np.float64)
        return trees + self._start if self._start else trees

    def _matrix(self, features: pd.DataFrame) -> NDArray[np.float64]:
        return np.ascontiguousarray(self._transforms.transform(features).to_numpy(np.float64))

    def _check_slice(self, rows: TrainingRows) -> None:
        if len(np.unique(rows.label)) < 2:
            raise DataError(
                f"all {len(rows)} rows before the validation slice have the label {rows.label[0]:.0f}: {self.family} "
                "can't learn to tell trades apart; add earlier bars, or set validation_share to 0"
            )

    def _grow(self, rows: TrainingRows, validation: TrainingRows | None, rounds: int, options: FitOptions) -> _Grown:
        compute = options.compute
        try:
            return self._grow_on(rows, validation, rounds, options)
        except _lightgbm_error() as error:
            if compute.lightgbm_device == "cpu":
                raise DataError(
                    f"LightGBM can't learn from these {len(rows)} rows of {rows.features.shape[1]} features "
                    f"({' '.join(str(error).split())}); check the features, or add earlier bars"
                ) from error
            _log.warning(
                "LightGBM can't train on %s (%s); continuing on the CPU",
                compute.lightgbm_device,
                " ".join(str(error).split()),
            )
            return self._grow_on(
                rows, validation, rounds, replace(options, compute=replace(compute, lightgbm_device="cpu"))
            )

    def _grow_on(self, rows: TrainingRows, validation: TrainingRows | None, rounds: int, options: FitOptions) -> _Grown:
        import lightgbm

        transforms = feature_transforms("keep_known", winsorize=None, scale=False)
        known = rows.features.astype(np.float64)  # as at prediction, whatever numbers came in
        matrix = np.ascontiguousarray(transforms.fit_transform(known).to_numpy(np.float64))
        task = self._task(rows)
        parameters = self._parameters(task, options.compute, matrix.size)
        data = lightgbm.Dataset(
            matrix, task.target, weight=rows.weight, init_score=_start(task, len(rows)), params=parameters
        )
        booster = lightgbm.Booster(parameters, data)
        sets = {"train": rows}
        if validation is not None:
            sets["validation"] = validation
            known = validation.features.astype(np.float64)
            held = data.create_valid(
                np.ascontiguousarray(transforms.transform(known).to_numpy(np.float64)),
                np.zeros(len(validation)),  # LightGBM has no use for labels: the loss is worked out here
                init_score=_start(task, len(validation)),
                params=parameters,
            )
            booster.add_valid(held, "validation")

        def gradient(raw: NDArray[np.float64], _: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            assert task.gradient is not None  # noqa: S101 (for the type checker)
            return task.gradient(np.asarray(raw, dtype=np.float64))

        def loss_on(name: str) -> float:
            def measure(predicted: NDArray[np.float64], _: Any) -> tuple[str, float, bool]:
                return "loss", task.loss(np.asarray(predicted, dtype=np.float64), sets[name]), False

            (result,) = booster.eval_train(measure) if name == "train" else booster.eval_valid(measure)
            return float(result.metric_value)

        losses: list[dict[str, float]] = []
        best, trees, lowest = 0, 0, np.inf
        for step in range(1, rounds + 1):
            booster.update(fobj=None if task.gradient is None else gradient)
            figures = {f"{name}_loss": loss_on(name) for name in sets}
            losses.append(figures)
            if options.observe is not None:
                shown = figures if validation is not None else {f"refit_{key}": value for key, value in figures.items()}
                options.observe(Progress(step, rounds, shown))
            # Without a slice to watch the last round is the best.
            watched = figures.get("validation_loss", -step)
            if watched < lowest:
                # Rounds, not trees: one in which nothing could be split adds none.
                best, trees, lowest = step, booster.current_iteration(), watched
            elif step - best >= self.settings.patience:
                break
        log = pd.DataFrame(losses, pd.RangeIndex(1, len(losses) + 1, name="step"))
        return _Grown(_text(booster, trees), transforms, task.start, best, log)

    def _parameters(self, task: Task, compute: Compute, values: int) -> dict[str, Any]:
        chosen = self.settings.model_dump(include=_GIVEN_TO_LIGHTGBM)
        parameters: dict[str, Any] = chosen | {
            "objective": task.objective,
            "metric": "none",
            "bagging_freq": 1 if self.settings.bagging_fraction < 1 else 0,
            # What can't be split stays a feature all the same: with none LightGBM ends in an error, not in no split.
            "feature_pre_filter": False,
            "min_data_in_bin": 1,
            "seed": self.seed % 2**31,
            "device_type": compute.lightgbm_device,
            "num_threads": (compute.threads or 0) if values >= WORTH_THREADS else 1,
            "verbosity": -1,
        }
        if compute.lightgbm_device == "cpu":
            parameters |= {"deterministic": True, "force_row_wise": True}
        if compute.lightgbm_device == "gpu":
            parameters["gpu_use_dp"] = True  # sums in double precision, as on the processor
        return parameters

    def _save(self, folder: Path) -> Mapping[str, Any]:
        return {
            "sha256": write_sealed(folder / _FILE, self._text),
            "transforms": transforms_to_json(self._transforms),
            "start": self._start,
            "rounds": self.rounds,
        }

    def _load(self, folder: Path, extra: Mapping[str, Any]) -> None:
        self._text = read_sealed(folder / _FILE, extra["sha256"])
        self._transforms = transforms_from_json(extra["transforms"])
        self._start = float(extra["start"])
        self.rounds = int(extra["rounds"])
        # The hash tells of an accident only: who changes the file can change the manifest too.
        require_sound_trees(self._text, len(self._transforms.get_feature_names_out()))
        self._booster = _parse(self._text)


def _start(task: Task, rows: int) -> NDArray[np.float64] | None:
    return np.full(rows, task.start) if task.start else None


def _text(booster: "Booster", trees: int) -> str:
    lines = booster.model_to_string(num_iteration=trees).splitlines(keepends=True)
    # The one parameter that says how it was worked out and not what.
    return "".join(line for line in lines if not line.startswith("[num_threads:"))


def _parse(text: str) -> "Booster":
    import lightgbm

    try:
        return lightgbm.Booster(model_str=text)
    except _lightgbm_error() as error:
        raise ValueError(str(error)) from error


def _lightgbm_error() -> type[Exception]:
    from lightgbm.basic import LightGBMError

    return LightGBMError
