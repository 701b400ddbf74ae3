"""A model that tunes itself on what it learns from, which makes tuning inside a walk-forward nested."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.learning.models import FitOptions, Model, TrainingRows
from pipeline.learning.provenance import data_version
from pipeline.tuning.model_target import ModelTarget
from pipeline.tuning.request import StudyRequest
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.study import run_study
from pipeline.tuning.subject import Subject
from pipeline.tuning.trial_store import TrialStore
from pipeline.tuning.trials import Progress, StudyResult

__all__ = ["NestedStudies", "TunedModel"]

Values = NDArray[np.float64]


@dataclass(frozen=True)
class NestedStudies:
    """Studies inside folds: where they are kept, and under what their trials are counted.

    Attributes
    ----------
    store
        Where they are kept, and their trials counted; in memory without one.
    symbol
        The market.
    capital
        Money that returns are counted on.
    workers
        Processes a study; several need a store.
    observe
        Told of each trial.
    """

    store: TrialStore | None = None
    symbol: str = "none"
    capital: float = 1.0
    workers: int = 1
    observe: Callable[[Progress], None] | None = None

    def subject(self, family: str, version: str, rows: TrainingRows) -> Subject:
        """Return the subject of a study on these rows; its money is counted by the day of the decision."""
        days = pd.DatetimeIndex(rows.outcome["start"]).tz_convert("UTC").tz_localize(None).normalize()
        return Subject(self.symbol, f"{family} nested", version, days.min(), days.max(), self.capital)


class TunedModel(Model):
    """A model that, before it learns, looks among its training rows for the hyperparameters to learn with.

    It stands in for a model of its family wherever one is fitted: in :func:`~pipeline.learning.walk_forward` each fold
    then tunes on its own past alone. Once fitted it is, to whoever asks, the best model found, and is saved as such.

    A study bears the hash of the rows it saw: with a storage, a walk-forward that was killed goes on where it was, and
    folds never share trials. Two fits on the same rows give the same model, unless the study ends by time.

    Parameters
    ----------
    request
        Family, space and how its models learn and are judged; the search begins with the hyperparameters where they lie
        in the space.
    study
        How to search, and for what.
    periods_per_year
        As of :class:`ModelTarget`.
    nested
        Where its studies are kept, and under what their trials are counted; in memory, and not at all, without it.

    Attributes
    ----------
    best
        The fitted model of the best trial; None before.
    result
        The last fit's study; None before.
    """

    family: ClassVar[str] = "tuned"

    def __init__(
        self,
        request: StudyRequest,
        study: StudySettings,
        *,
        periods_per_year: float = 252,
        nested: NestedStudies | None = None,
    ) -> None:
        super().__init__(seed=request.seed)
        plain = request.model()
        space = (plain.space if request.space is None else request.space).require(plain.family)
        self._request = replace(request, space=space, objectives=study.objectives)
        self._plain, self._study, self._space, self._periods = plain, study, space, periods_per_year
        self._nested = nested or NestedStudies()
        self.best: Model | None = None
        self.result: StudyResult | None = None
        self._become(plain)

    def fit(self, rows: TrainingRows, options: FitOptions | None = None) -> Self:
        """Tune on purged inner folds of the rows, then fit the best hyperparameters on all of them.

        Raises
        ------
        ConfigurationError
            For an objective or a space that does not suit the family.
        DataError
            For rows that can't be cut into inner folds, or where all trials failed: says with what.
        """
        self._fit(rows, options or FitOptions())
        return self

    def fresh(self, **changes: Any) -> Self:
        """An unfitted model that tunes itself in the same way, with these settings in place of its own."""
        made = copy.copy(self)
        made._plain = self._plain.fresh(**changes)
        made.best = made.result = None
        made._become(made._plain)
        return made

    def score_out_of_fold(self, rows: TrainingRows, options: FitOptions | None = None) -> pd.Series:
        """Score as the best model does: the copies learn with its hyperparameters, and tune none themselves.

        Raises
        ------
        DataError
            As :meth:`Model.score_out_of_fold`.
        """
        return self._fitted().score_out_of_fold(rows, options)

    def contributions(self, features: pd.DataFrame) -> pd.DataFrame | None:
        """Return those of the best model."""
        return self._fitted().contributions(features)

    def gain(self) -> pd.Series | None:
        """Return those of the best model."""
        return self._fitted().gain()

    def _fit(self, rows: TrainingRows, options: FitOptions) -> None:
        base = self._plain.settings.model_dump()
        request = replace(self._request, hyperparameters=base, compute=options.compute)
        target = ModelTarget(rows, request, periods_per_year=self._periods)
        first, nested = self._space.chosen_from(base), self._nested
        result = run_study(
            nested.subject(self._plain.family, self._version(rows), rows),
            target,
            self._study,
            nested.store,
            enqueue=[] if first is None else [first],
            observe=nested.observe,
            workers=nested.workers,
        )
        if result.stopped == "interrupted":
            raise KeyboardInterrupt
        self.best = target.model(result.best.params).fit(rows, options)
        self.result = result
        self._become(self.best)

    def _become(self, model: Model) -> None:
        """Show a model's own as one's own."""
        # Of the class in a family; here only the instance knows.
        self.family, self.version = model.family, model.version  # type: ignore[misc]
        self.inputs, self.probabilistic = model.inputs, model.probabilistic
        self.packages, self.uses_device = model.packages, model.uses_device
        self.settings, self.columns, self.training_log = model.settings, model.columns, model.training_log
        self.calibrator, self.out_of_fold = model.calibrator, model.out_of_fold

    def _version(self, rows: TrainingRows) -> str:
        """Hash of all that a trial's value depends on beside its parameters, the objective and the space."""
        plain = self._plain
        threshold, splitter = self._request.threshold, self._request.splitter
        identity = [plain.version, plain.settings.model_dump(mode="json"), threshold, self._periods, self.seed]
        folds = [type(splitter).__name__, {name: str(value) for name, value in vars(splitter).items()}]
        return data_version(
            rows.features.join(rows.outcome.add_suffix(" of the outcome")), json.dumps([*identity, *folds])
        )

    def _fitted(self) -> Model:
        if self.best is None:
            raise DataError(f"this tuned {self._plain.family} model is not fitted; fit it first")
        return self.best

    def _predict(self, features: pd.DataFrame) -> Values:
        return self._fitted()._predict(features)

    def _save(self, folder: Path) -> Mapping[str, Any]:
        return self._fitted()._save(folder)

    def _load(self, folder: Path, extra: Mapping[str, Any]) -> None:
        raise NotImplementedError  # what was saved is a model of its own family
