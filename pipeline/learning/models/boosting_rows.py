"""Rows as boosted trees see them, and trees grown on them; what no setting changes is made once for all fits."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.learning.models.rows import TrainingRows
from pipeline.learning.validation import validation_slice

if TYPE_CHECKING:
    from lightgbm import Booster, Dataset
    from sklearn.pipeline import Pipeline

__all__ = ["Grown", "PreparedRows", "PreparedTable", "Task"]

Values = NDArray[np.float64]
Observer = Callable[[int, dict[str, float]], None]
"""Called with the round, from 1, and its losses."""


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
    target: Values
    loss: Callable[[Values, TrainingRows], float]
    gradient: Callable[[Values], tuple[Values, Values]] | None = None
    start: float = 0.0


@dataclass(frozen=True)
class Grown:
    """Trees grown on a table.

    Attributes
    ----------
    booster
        The trees, those after the best round too; it answers with those up to it.
    table
        What they were grown on.
    rounds, trees
        The best round, and how many trees there were after it: a round in which nothing could be split adds none.
    losses
        By round (index ``step``): ``train_loss`` where asked for, ``validation_loss`` where rows are watched.
    """

    booster: "Booster"
    table: "PreparedTable"
    rounds: int
    trees: int
    losses: pd.DataFrame


class PreparedTable:
    """Rows to grow trees on, and rows to watch; bins are made once for each way of binning.

    Parameters
    ----------
    task_of
        Makes the objective.
    rows, watched
        To learn from, and to tell when to stop.
    test
        Features to score, where they are known already.
    """

    def __init__(
        self,
        task_of: Callable[[TrainingRows], Task],
        rows: TrainingRows,
        watched: TrainingRows | None,
        test: pd.DataFrame | None,
    ) -> None:
        self.rows, self.watched = rows, watched
        self._task_of, self._test = task_of, test
        self._bins: dict[tuple[Any, ...], tuple[Dataset, Dataset | None]] = {}

    @cached_property
    def task(self) -> Task:
        """What the trees learn."""
        return self._task_of(self.rows)

    @cached_property
    def matrix(self) -> Values:
        """The rows after their transforms, shape (n, kept features)."""
        # float64, as at prediction, whatever numbers came in.
        return _array(self.transforms.fit_transform(self.rows.features.astype(np.float64)))

    @cached_property
    def transforms(self) -> "Pipeline":
        """Learned from the rows once :attr:`matrix` was asked for."""
        from pipeline.learning.transforms import feature_transforms

        return feature_transforms("keep_known", winsorize=None, scale=False)

    @cached_property
    def test(self) -> Values:
        """The features to score after the transforms, shape (rows, kept features)."""
        assert self._test is not None  # noqa: S101 (for the type checker)
        return _array(self.transforms.transform(self._test.astype(np.float64)))

    def grow(
        self,
        parameters: dict[str, Any],
        rounds: int,
        patience: int,
        *,
        every_loss: bool,
        observe: Observer | None = None,
    ) -> Grown:
        """Grow trees until the watched loss no longer falls, or for all rounds where no rows are watched.

        Losses are worked out in float64 here, not by LightGBM, whose sums depend on the number of threads.

        Parameters
        ----------
        parameters
            LightGBM's.
        rounds, patience
            At most, and without a lower loss.
        every_loss
            Whether to work out the loss of the training rows too, which decides nothing.
        observe
            Called after each round.

        Raises
        ------
        lightgbm.basic.LightGBMError
            Where LightGBM can't learn from the rows.
        """
        import lightgbm

        task, sets = self.task, self._sets(every_loss)
        parameters = _by_columns(parameters)
        data, held = self._binned(parameters)
        booster = lightgbm.Booster(parameters, data)
        if held is not None:
            booster.add_valid(held, "validation")

        def gradient(raw: Values, _: Any) -> tuple[Values, Values]:
            assert task.gradient is not None  # noqa: S101 (for the type checker)
            return task.gradient(np.asarray(raw, dtype=np.float64))

        def loss_of(name: str) -> float:
            def measure(predicted: Values, _: Any) -> tuple[str, float, bool]:
                return "loss", task.loss(np.asarray(predicted, dtype=np.float64), sets[name]), False

            (result,) = booster.eval_train(measure) if name == "train" else booster.eval_valid(measure)
            return float(result.metric_value)

        losses: list[dict[str, float]] = []
        best, trees, lowest = 0, 0, np.inf
        for step in range(1, rounds + 1):
            booster.update(fobj=None if task.gradient is None else gradient)
            figures = {f"{name}_loss": loss_of(name) for name in sets}
            losses.append(figures)
            if observe is not None:
                observe(step, figures)
            # Without rows to watch the last round is the best.
            watched = figures.get("validation_loss", -step)
            if watched < lowest:
                # Rounds, not trees: one in which nothing could be split adds none.
                best, trees, lowest = step, booster.current_iteration(), watched
            elif step - best >= patience:
                break
        booster.best_iteration = trees
        log = pd.DataFrame(losses, pd.RangeIndex(1, len(losses) + 1, name="step"))
        return Grown(booster, self, best, trees, log)

    def _sets(self, every_loss: bool) -> dict[str, TrainingRows]:
        sets = {"train": self.rows} if every_loss else {}
        return sets if self.watched is None else sets | {"validation": self.watched}

    def _binned(self, parameters: dict[str, Any]) -> "tuple[Dataset, Dataset | None]":
        import lightgbm

        matrix, way = self.matrix, (parameters["max_bin"], parameters["device_type"])
        if way not in self._bins:
            data = lightgbm.Dataset(
                matrix,
                self.task.target,
                weight=self.rows.weight,
                init_score=self._start(len(self.rows)),
                params=parameters,
            ).construct()
            held = None
            if self.watched is not None:
                held = data.create_valid(
                    _array(self.transforms.transform(self.watched.features.astype(np.float64))),
                    np.zeros(len(self.watched)),  # LightGBM has no use for labels: the loss is worked out here
                    init_score=self._start(len(self.watched)),
                    params=parameters,
                ).construct()
            self._bins[way] = data, held
        return self._bins[way]

    def _start(self, rows: int) -> Values | None:
        return np.full(rows, self.task.start) if self.task.start else None


class PreparedRows:
    """Training rows for any number of fits of one boosted family: whole, or less a validation slice.

    Parameters
    ----------
    rows
        To learn from.
    test
        Features to score after each fit, where they are known already.
    """

    def __init__(self, rows: TrainingRows, test: pd.DataFrame | None = None) -> None:
        self.rows, self.test = rows, test
        self._tables: dict[float, PreparedTable] = {}

    def table(self, task_of: Callable[[TrainingRows], Task], share: float) -> PreparedTable:
        """Return the table of all rows (0), or of those before the validation slice of this share, which it watches.

        Raises
        ------
        DataError
            If nothing is left to learn from.
        """
        if share not in self._tables:
            learned, watched = self.rows, None
            if share > 0:
                train, validation = validation_slice(self.rows.outcome, share)
                learned, watched = self.rows.take(train), self.rows.take(validation)
            self._tables[share] = PreparedTable(task_of, learned, watched, self.test)
        return self._tables[share]


def _by_columns(parameters: dict[str, Any]) -> dict[str, Any]:
    """Histograms feature by feature, a quarter faster: of one thread they are the same sums in the same order."""
    if parameters["num_threads"] != 1 or not parameters.get("force_row_wise"):
        return parameters
    return parameters | {"force_row_wise": False, "force_col_wise": True}


def _array(frame: pd.DataFrame) -> Values:
    return np.ascontiguousarray(frame.to_numpy(np.float64))
