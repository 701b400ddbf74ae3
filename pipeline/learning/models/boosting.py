"""Common parts of the LightGBM families: settings, growing trees with early stopping, importance, saving."""

import logging
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import DataError
from pipeline.learning.compute import Compute
from pipeline.learning.models.boosting_rows import Grown, PreparedRows, PreparedTable, Task
from pipeline.learning.models.files import read_sealed, write_sealed
from pipeline.learning.models.fit_options import FitOptions, Progress
from pipeline.learning.models.outcomes import check_outcomes
from pipeline.learning.models.protocol import Model, ModelSettings
from pipeline.learning.models.rows import TrainingRows
from pipeline.learning.models.trees_text import require_sound_trees
from pipeline.search_space import Real, SearchSpace, Whole

if TYPE_CHECKING:
    from lightgbm import Booster

__all__ = ["BoostedModel", "BoostingSettings", "Task"]

_log = logging.getLogger(__name__)

_FILE = "lightgbm.txt"

# Below so many values (rows × columns) another thread costs more than it brings. 200 trees on two cores, one thread and
# three: 1,400 × 210 0.19 s and 0.65 s, 30,000 × 60 0.86 s and 0.77 s; and where both cores are busy, ten times that.
WORTH_THREADS = 2_000_000

# Parameters that say how it was worked out, and not what.
_HOW_NOT_WHAT = ("[num_threads:", "[force_row_wise:", "[force_col_wise:")

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
    _test: NDArray[np.float64] | None = None

    @abstractmethod
    def _task(self, rows: TrainingRows) -> Task:
        """Return the objective for these training rows."""

    def scores_of(self, prepared: PreparedRows, compute: Compute) -> NDArray[np.float64]:
        """Scores of the test rows prepared, to the bit those of a fit on the rows prepared; this model is used up.

        For trial after trial on the same rows: transforms and bins are kept, and only losses that decide something are
        worked out.

        Raises
        ------
        DataError
            As :meth:`fit`.
        """
        _, grown = self._grown(prepared, FitOptions(compute), every_loss=False)
        # What it answers with: text keeps every digit, there is no need to go by it.
        self._booster, self._start, self._test = grown.booster, grown.table.task.start, grown.table.test
        assert prepared.test is not None  # noqa: S101 (for the type checker)
        return self._predict(prepared.test)

    def _fit(self, rows: TrainingRows, options: FitOptions) -> None:
        found, grown = self._grown(PreparedRows(rows), options, every_loss=True)
        self.training_log = grown.losses if found is None else found.losses
        if found is not None and grown is not found:
            self.training_log = found.losses.join(grown.losses.add_prefix("refit_"))
        self._text = _text(grown.booster, grown.trees)
        self._transforms, self._start = grown.table.transforms, grown.table.task.start
        self.rounds = grown.rounds
        self._booster = _parse(self._text)

    def __getstate__(self) -> dict[str, Any]:
        # LightGBM's own way to send trees would write them once more; they are what the text says.
        return {name: value for name, value in self.__dict__.items() if name != "_booster"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__ |= state
        if "_text" in state:
            self._booster = _parse(self._text)

    def _grown(self, prepared: PreparedRows, options: FitOptions, *, every_loss: bool) -> tuple[Grown | None, Grown]:
        """Trees that stop by the validation slice, if there is one, and the trees to keep."""
        check_outcomes(prepared.rows, *self.learns_from)
        settings = self.settings
        found: Grown | None = None
        if settings.validation_share > 0:
            table = prepared.table(self._task, settings.validation_share)
            self._check_slice(table.rows)
            found = self._grow(table, settings.rounds, options, every_loss)
            if not settings.refit:
                return found, found
        rounds = settings.rounds if found is None else found.rounds
        return found, self._grow(prepared.table(self._task, 0.0), rounds, options, every_loss)

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
        if self._test is not None:
            return self._test
        return np.ascontiguousarray(self._transforms.transform(features).to_numpy(np.float64))

    def _check_slice(self, rows: TrainingRows) -> None:
        if len(np.unique(rows.label)) < 2:
            raise DataError(
                f"all {len(rows)} rows before the validation slice have the label {rows.label[0]:.0f}: {self.family} "
                "can't learn to tell trades apart; add earlier bars, or set validation_share to 0"
            )

    def _grow(self, table: PreparedTable, rounds: int, options: FitOptions, every_loss: bool) -> Grown:
        def observe(step: int, figures: Mapping[str, float]) -> None:
            if options.observe is not None:
                shown = figures if table.watched is not None else {f"refit_{key}": one for key, one in figures.items()}
                options.observe(Progress(step, rounds, shown))

        def on(compute: Compute) -> Grown:
            parameters = self._parameters(table.task, compute, table.matrix.size)
            return table.grow(parameters, rounds, self.settings.patience, every_loss=every_loss, observe=observe)

        compute = options.compute
        try:
            return on(compute)
        except _lightgbm_error() as error:
            if compute.lightgbm_device == "cpu":
                rows, columns = table.rows.features.shape
                raise DataError(
                    f"LightGBM can't learn from these {rows} rows of {columns} features "
                    f"({' '.join(str(error).split())}); check the features, or add earlier bars"
                ) from error
            _log.warning(
                "LightGBM can't train on %s (%s); continuing on the CPU",
                compute.lightgbm_device,
                " ".join(str(error).split()),
            )
            return on(replace(compute, lightgbm_device="cpu"))

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
        from pipeline.learning.models.saved_transforms import transforms_to_json

        return {
            "sha256": write_sealed(folder / _FILE, self._text),
            "transforms": transforms_to_json(self._transforms),
            "start": self._start,
            "rounds": self.rounds,
        }

    def _load(self, folder: Path, extra: Mapping[str, Any]) -> None:
        from pipeline.learning.models.saved_transforms import transforms_from_json

        self._text = read_sealed(folder / _FILE, extra["sha256"])
        self._transforms = transforms_from_json(extra["transforms"])
        self._start = float(extra["start"])
        self.rounds = int(extra["rounds"])
        # The hash tells of an accident only: who changes the file can change the manifest too.
        require_sound_trees(self._text, len(self._transforms.get_feature_names_out()))
        self._booster = _parse(self._text)


def _text(booster: "Booster", trees: int) -> str:
    lines = booster.model_to_string(num_iteration=trees).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_HOW_NOT_WHAT))


def _parse(text: str) -> "Booster":
    import lightgbm

    try:
        return lightgbm.Booster(model_str=text)
    except _lightgbm_error() as error:
        raise ValueError(str(error)) from error


def _lightgbm_error() -> type[Exception]:
    from lightgbm.basic import LightGBMError

    return LightGBMError
