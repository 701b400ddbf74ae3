"""Fits of boosted trees for trial after trial on the same rows: transforms and binned data are made once.

What comes out is, to the bit, what the family's own fit would have given (tested): only what no trial can change is
kept, and losses that decide nothing are not worked out.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from pipeline.learning.compute import Compute
from pipeline.learning.models import TrainingRows
from pipeline.learning.models.boosting import BoostedModel, Task
from pipeline.learning.models.outcomes import check_outcomes
from pipeline.learning.transforms import feature_transforms
from pipeline.learning.validation import validation_slice

if TYPE_CHECKING:
    from lightgbm import Booster, Dataset

__all__ = ["PreparedBoosting"]

Values = NDArray[np.float64]


class _Remembered(TrainingRows):
    """Rows that are asked for their outcomes round after round."""

    @cached_property
    def label(self) -> Values:
        return super().label

    @cached_property
    def net(self) -> Values:
        return super().net

    @cached_property
    def r_multiple(self) -> Values:
        return super().r_multiple

    @cached_property
    def weight(self) -> Values:
        return super().weight


class _Table:
    """Rows to grow trees on, rows to watch, and rows to score, as the trees see them; bins by ``max_bin``."""

    def __init__(self, model: BoostedModel, rows: TrainingRows, watched: TrainingRows | None, test: pd.DataFrame):
        self.rows, self.watched, self._test = rows, watched, test
        self.task: Task = model._task(rows)
        self._transforms: Pipeline = feature_transforms("keep_known", winsorize=None, scale=False)
        self.matrix = _array(self._transforms.fit_transform(rows.features.astype(np.float64)))
        self._bins: dict[int, tuple[Dataset, Dataset | None]] = {}

    @cached_property
    def test(self) -> pd.DataFrame:
        seen = self._transforms.transform(self._test.astype(np.float64))
        return pd.DataFrame(_array(seen), seen.index, seen.columns)  # one block, not copied at each look

    def bins(self, parameters: dict[str, Any]) -> "tuple[Dataset, Dataset | None]":
        import lightgbm

        most = int(parameters["max_bin"])
        if most not in self._bins:
            data = lightgbm.Dataset(
                self.matrix,
                self.task.target,
                weight=self.rows.weight,
                init_score=self._start(len(self.rows)),
                params=parameters,
            ).construct()
            held = None
            if self.watched is not None:
                held = data.create_valid(
                    _array(self._transforms.transform(self.watched.features.astype(np.float64))),
                    np.zeros(len(self.watched)),
                    init_score=self._start(len(self.watched)),
                    params=parameters,
                ).construct()
            self._bins[most] = data, held
        return self._bins[most]

    def _start(self, rows: int) -> Values | None:
        return np.full(rows, self.task.start) if self.task.start else None


@dataclass(frozen=True)
class _Known:
    """Stands for transforms whose one answer is known already."""

    answer: pd.DataFrame

    def transform(self, _: pd.DataFrame) -> pd.DataFrame:
        return self.answer


class PreparedBoosting:
    """Fits models of one boosted family on some rows and scores others, again and again.

    Parameters
    ----------
    rows
        To learn from.
    test
        Features of the rows to score.
    """

    def __init__(self, rows: TrainingRows, test: pd.DataFrame) -> None:
        self._rows, self._test = rows, test
        self._tables: dict[float, _Table] = {}

    def scores(self, model: BoostedModel, compute: Compute) -> Values:
        """Scores of the test rows, to the bit those of ``model.fit(rows).predict_proba(test)``; on the processor.

        Parameters
        ----------
        model
            Unfitted, not calibrated, of the same family each time; it is used up.
        compute
            How many threads.

        Raises
        ------
        DataError
            As the model's own fit.
        lightgbm.basic.LightGBMError
            Where LightGBM can't learn from the rows.
        """
        settings = model.settings
        check_outcomes(self._rows, *model.learns_from)
        share, rounds = settings.validation_share, settings.rounds
        if share > 0:
            table = self._table(model, share)
            model._check_slice(table.rows)
            booster, rounds, trees = _grown(model, table, rounds, compute)
        if share == 0 or settings.refit:
            table = self._table(model, 0.0)
            booster, _, trees = _grown(model, table, rounds, compute)
        booster.best_iteration = trees  # what it answers with: text keeps every digit, there is no need to go by it
        model._booster = booster
        model._transforms, model._start = _Known(table.test), table.task.start
        return model._predict(self._test)

    def _table(self, model: BoostedModel, share: float) -> _Table:
        """Return the table of all rows (0), or of those before the validation slice of this share."""
        if share not in self._tables:
            learned, watched = self._rows, None
            if share > 0:
                train, validation = validation_slice(self._rows.outcome, share)
                held = self._rows.take(validation)
                learned, watched = self._rows.take(train), _Remembered(held.features, held.outcome)
            self._tables[share] = _Table(model, learned, watched, self._test)
        return self._tables[share]


def _grown(model: BoostedModel, table: _Table, rounds: int, compute: Compute) -> "tuple[Booster, int, int]":
    """Trees, the best round, and the trees there were after it; the steps of ``BoostedModel._grow_on``."""
    import lightgbm

    task, watched = table.task, table.watched
    parameters = _by_columns(model._parameters(task, compute, table.matrix.size))
    data, held = table.bins(parameters)
    booster = lightgbm.Booster(parameters, data)
    if held is not None:
        booster.add_valid(held, "validation")

    def gradient(raw: Values, _: Any) -> tuple[Values, Values]:
        assert task.gradient is not None  # noqa: S101 (for the type checker)
        return task.gradient(np.asarray(raw, dtype=np.float64))

    def measure(predicted: Values, _: Any) -> tuple[str, float, bool]:
        assert watched is not None  # noqa: S101 (for the type checker)
        return "loss", task.loss(np.asarray(predicted, dtype=np.float64), watched), False

    best, trees, lowest = 0, 0, np.inf
    for step in range(1, rounds + 1):
        booster.update(fobj=None if task.gradient is None else gradient)
        loss = -float(step)
        if watched is not None:
            (result,) = booster.eval_valid(measure)
            loss = float(result.metric_value)
        if loss < lowest:
            best, trees, lowest = step, booster.current_iteration(), loss
        elif step - best >= model.settings.patience:
            break
    return booster, best, trees


def _by_columns(parameters: dict[str, Any]) -> dict[str, Any]:
    """Histograms feature by feature, a quarter faster: of one thread they are the same sums in the same order."""
    if parameters["num_threads"] != 1 or not parameters.get("force_row_wise"):
        return parameters
    return parameters | {"force_row_wise": False, "force_col_wise": True}


def _array(frame: pd.DataFrame) -> Values:
    return np.ascontiguousarray(frame.to_numpy(np.float64))
