"""Hyperparameters of a model family: what a trial is judged by, and a model that tunes itself on what it learns from.

All rows a study sees are training rows of one fit. Each trial is judged by scores of purged inner folds of these rows;
what comes after them, the outer test among it, is out of reach. That is what makes tuning in a
walk-forward nested: :class:`TunedModel` is handed to it in a model's place.
"""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning.compute import CPU, Compute
from pipeline.learning.models import FitOptions, Model, ModelSettings, Progress, TrainingRows, find_family, make_model
from pipeline.learning.models.boosting import BoostedModel
from pipeline.learning.models.boosting_rows import PreparedRows
from pipeline.learning.models.out_of_fold import at_level, evidence_of
from pipeline.learning.provenance import data_version
from pipeline.learning.splits import CombinatorialPurged, PurgedSplitter
from pipeline.learning.threshold import tune_threshold
from pipeline.learning.training.settings import TrainingSettings
from pipeline.search_space import SearchSpace
from pipeline.tuning.campaign import KeptMoney, Subject, run_recorded_study
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.objectives import Evidence, directions, money_by_day, values_of
from pipeline.tuning.recent import Recent
from pipeline.tuning.storage import StudyStorage
from pipeline.tuning.study import Progress as StudyProgress
from pipeline.tuning.study import StudyResult, StudySettings, run_study

__all__ = ["ModelTarget", "NestedMemory", "Report", "TunedModel"]

Values = NDArray[np.float64]
Report = Callable[[int, float], None]
"""Takes a step and the value so far; raises to end a trial that promises nothing."""

_LEAST = 1e-15


@dataclass(frozen=True)
class _Fold:
    """An inner fold: rows to learn from, and rows to be judged on."""

    train: TrainingRows
    test: TrainingRows
    tested: NDArray[np.int64]  # positions of the rows to be judged on


class ModelTarget:
    """Judges hyperparameters of a family on purged inner folds of training rows; called by a study, trial by trial.

    Folds are cut, and for trees transforms and bins made, once for all trials.

    Parameters
    ----------
    family
        Whose.
    rows
        Training rows of one fit: all that the study may know.
    settings
        Those that are not searched.
    objectives
        See :data:`~pipeline.tuning.objectives.OBJECTIVES`.
    splitter
        Inner folds; by default five, each judged by models of the four others, purged. Learning from rows after a fold
        is not look-ahead here, for all of them come before what the tuned model is judged on.
    threshold
        From which score on a trade counts as taken, for the objectives in money: a number, or ``tuned``, for each fold
        on the scores of the other folds (each score counted from its fold's mean, as calibration does).
    periods_per_year
        Of the instrument.
    seed
        Of the models: the same in each trial.
    compute
        Where to train.
    keep
        Told parameters and evidence of each trial that was judged to the end, for a ledger.
    traded_in, sessions
        Session that each row's trade was made in, shape (n,), and all sessions, in order, that money is counted on:
        those without a trade have 0. By default it is counted by the day of the decision, from the first row's to the
        last's.
    remembered
        Of how many hyperparameters, the last ones asked for, scores are kept: asked again, with another threshold say,
        no model is fitted again (and epochs are not reported).

    Attributes
    ----------
    space
        The family's, as narrowed by the user.

    Raises
    ------
    ConfigurationError
        For an unknown family, setting or objective; log loss where scores are not probabilities.
    DataError
        For rows that can't be cut into folds with rows of both classes to learn from, or a row that was traded in none
        of the sessions.
    """

    def __init__(
        self,
        family: str,
        rows: TrainingRows,
        *,
        settings: Mapping[str, Any] | None = None,
        space: SearchSpace | None = None,
        objectives: Sequence[str] = ("log_loss",),
        splitter: PurgedSplitter | None = None,
        threshold: float | Literal["tuned"] = "tuned",
        periods_per_year: float = 252,
        seed: int = 0,
        compute: Compute = CPU,
        keep: Callable[[Mapping[str, Any], Evidence], None] | None = None,
        traded_in: pd.DatetimeIndex | None = None,
        sessions: pd.DatetimeIndex | None = None,
        remembered: int = 0,
    ) -> None:
        cls = find_family(family)
        self.space = (cls.space if space is None else space).require(family)
        self.objectives = tuple(objectives)
        directions(self.objectives)
        self._cls, self._settings, self._seed = cls, dict(settings or {}), seed
        self._probabilistic = self.model({}).probabilistic
        if "log_loss" in self.objectives and not self._probabilistic:
            raise ConfigurationError(
                f"the scores of {family} are not probabilities, so log_loss can't judge them; tune for net or "
                "sharpe_low, or calibrate the scores"
            )
        self._threshold, self._periods = threshold, periods_per_year
        self._compute, self._keep = compute, keep
        self._folds = _cut(rows, splitter or _inner_folds())
        if threshold == "tuned" and len(self._folds) < 2:
            raise ConfigurationError(
                "a threshold is tuned for each inner fold on the others, and there is one inner fold only; ask for two "
                "or more, or give a number"
            )
        self._sessions, self._place = sessions, _places(traded_in, sessions)
        self._prepared: dict[int, PreparedRows] = {}
        self._remembered = remembered
        self._scored: Recent[list[Values]] = Recent(remembered)

    def __call__(self, params: Mapping[str, Any], report: Report | None = None) -> float | tuple[float, ...]:
        """Value of the objective, or of each where there are several.

        A single objective's value so far is reported after each fold but the last; log loss of a network after each
        epoch of the first fold too, on the rows held back there, in steps before those of the folds.

        Raises
        ------
        ConfigurationError, DataError
            For settings or rows that the family refuses.
        """
        evidence = self.evidence(params, report)
        values = values_of(self.objectives, evidence)
        if self._keep is not None:
            self._keep(params, evidence)
        return values

    def evidence(
        self,
        params: Mapping[str, Any],
        report: Report | None = None,
        *,
        threshold: float | Literal["tuned"] | None = None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> Evidence:
        """Return the evidence on hyperparameters, reported on the way as a trial is.

        Parameters
        ----------
        params
            Hyperparameters.
        report
            As of a trial.
        threshold
            In place of the target's own.
        allowed
            Whether a row may be taken at all, shape (n,).

        Raises
        ------
        ConfigurationError, DataError
            For settings or rows that the family refuses.
        """
        limit = self._threshold if threshold is None else threshold
        if len(self.objectives) > 1:
            report = None  # several values have no order to prune by
        before = self._epochs(params) if report is not None else 0
        scores = self._scored.get(_written(params), list) if self._remembered else []
        for number in range(1, len(self._folds) + 1):
            if len(scores) < number:
                scores.append(self._scores(params, number - 1, report if number == 1 and before else None))
            # Of one fold alone there is no money yet: its threshold comes from the others.
            judged = number > 1 or self.objectives == ("log_loss",) or limit != "tuned"
            if report is not None and judged and number < len(self._folds):
                so_far = self._evidence(scores[:number], limit, allowed)
                report(before + number, float(values_of(self.objectives, so_far)))  # type: ignore[arg-type]
        return self._evidence(scores, limit, allowed)

    def __getstate__(self) -> dict[str, Any]:
        # Binned data lives in the library: another process makes its own.
        return self.__dict__ | {"_prepared": {}, "_scored": Recent(self._remembered)}

    def model(self, params: Mapping[str, Any]) -> Model:
        """An unfitted model with these hyperparameters."""
        return self._cls({**self._settings, **params}, seed=self._seed)

    def base_rate_loss(self) -> float:
        """Log loss of no model at all: each inner fold's rows get the share of winners it would learn from."""
        of_truth, weight = [], []
        for fold in self._folds:
            share = float(np.average(fold.train.label, weights=fold.train.weight))
            of_truth.append(np.where(fold.test.label == 1, share, 1 - share))
            weight.append(fold.test.weight)
        return -float(np.average(np.log(np.concatenate(of_truth)), weights=np.concatenate(weight)))

    def _epochs(self, params: Mapping[str, Any]) -> int:
        """Most epochs of which each can be reported; 0 where that is none."""
        settings = self.model(params).settings
        watched = isinstance(settings, TrainingSettings) and settings.validation_share > 0
        return settings.epochs if watched and self.objectives == ("log_loss",) else 0  # type: ignore[attr-defined]

    def _scores(self, params: Mapping[str, Any], number: int, report: Report | None) -> Values:
        fold, model = self._folds[number], self.model(params)

        def observe(progress: Progress) -> None:
            # Of the search for the best epoch only: what is fitted on all rows watches none.
            loss = progress.figures.get("validation_loss")
            if report is not None and loss is not None and not progress.stage:
                report(progress.step, loss)

        if isinstance(model, BoostedModel) and self._can_prepare(model):
            prepared = self._prepared.setdefault(number, PreparedRows(fold.train, fold.test.features))
            return model.scores_of(prepared, self._compute)
        options = FitOptions(self._compute, observe if report is not None else None)
        return model.fit(fold.train, options).predict_proba(fold.test.features)

    def _can_prepare(self, model: BoostedModel) -> bool:
        return model.settings.calibration == "none" and self._compute.lightgbm_device == "cpu"

    def _evidence(
        self, scores: Sequence[Values], limit: float | Literal["tuned"], allowed: NDArray[np.bool_] | None
    ) -> Evidence:
        folds = self._folds[: len(scores)]
        of_truth = [np.where(fold.test.label == 1, score, 1 - score) for fold, score in zip(folds, scores, strict=True)]
        weight = np.concatenate([fold.test.weight for fold in folds])
        loss = -np.average(np.log(np.maximum(np.concatenate(of_truth), _LEAST)), weights=weight)
        taken = np.concatenate(self._taken(scores, limit))
        if allowed is not None:
            taken &= allowed[np.concatenate([fold.tested for fold in folds])]
        return Evidence(
            self._money(folds, taken),
            self._periods,
            float(loss) if self._probabilistic else None,
            int(taken.sum()),
        )

    def _money(self, folds: Sequence[_Fold], taken: NDArray[np.bool_]) -> pd.Series:
        net = np.concatenate([fold.test.net for fold in folds])
        if self._sessions is None or self._place is None:
            started = pd.DatetimeIndex(pd.concat([fold.test.outcome["start"] for fold in folds]))
            return money_by_day(started, net, taken, periods_per_year=self._periods)
        place = self._place[np.concatenate([fold.tested for fold in folds])]
        each = np.bincount(place, np.where(taken, net, 0.0), minlength=len(self._sessions))
        money = pd.Series(each, self._sessions, name="money")
        # Sessions of folds still to come are not idle.
        return money if len(folds) == len(self._folds) else money.iloc[place.min() : place.max() + 1]

    def _taken(self, scores: Sequence[Values], limit: float | Literal["tuned"]) -> list[NDArray[np.bool_]]:
        if limit != "tuned":
            return [score >= limit for score in scores]
        folds = self._folds[: len(scores)]
        # Without their levels, in which every fold's labels are at work on the other folds' scores.
        level = np.zeros(1)
        shown = [
            at_level(evidence_of(score, fold.test.weight), level) for fold, score in zip(folds, scores, strict=True)
        ]
        taken = []
        for number, own in enumerate(shown):
            others = [other for other in range(len(shown)) if other != number]
            if not others:
                return [np.zeros(len(own), np.bool_)]
            tuned = tune_threshold(
                np.concatenate([shown[other] for other in others]),
                np.concatenate([folds[other].test.net for other in others]),
            )
            taken.append(own >= tuned)
        return taken


@dataclass(frozen=True)
class NestedMemory:
    """Ledger for the trials of studies inside folds.

    Attributes
    ----------
    symbol
        The market.
    folder
        Of the money of each trial, in a folder a study.
    ledger
        Remembers every look.
    capital
        Money that returns are counted on.
    """

    symbol: str
    folder: Path
    ledger: Ledger
    capital: float

    def subject(self, target: str, version: str, rows: TrainingRows) -> Subject:
        """Return the subject of a study on these rows; its money is counted by the day of the decision."""
        days = pd.DatetimeIndex(rows.outcome["start"]).tz_convert("UTC").tz_localize(None).normalize()
        return Subject(self.symbol, target, version, days.min(), days.max(), self.capital)


class TunedModel(Model):
    """A model that, before it learns, looks among its training rows for the hyperparameters to learn with.

    It stands in for a model of its family wherever one is fitted: in :func:`~pipeline.learning.walk_forward` each fold
    then tunes on its own past alone. Once fitted it is, to whoever asks, the best model found, and is saved as such.

    A study bears the hash of the rows it saw: with a storage, a walk-forward that was killed goes on where it was, and
    folds never share trials. Two fits on the same rows give the same model, unless the study ends by time.

    Parameters
    ----------
    family
        Of the model.
    study
        How to search, and for what.
    settings
        Those that are not searched; the search begins with the family's own where they lie in the space.
    space, splitter, threshold, periods_per_year
        As of :class:`ModelTarget`.
    seed
        Of the models.
    storage
        Where studies are kept; in memory without one.
    name
        What studies are called, the family by default.
    enqueue
        Hyperparameters to try first: the champion's, an earlier study's best.
    workers
        Processes a study; several need a storage.
    observe
        Told of each trial.
    keep
        As of :class:`ModelTarget`; of no use beside a memory.
    memory
        Remembers every look of the studies; needs a storage. Without one nothing is remembered.
    keep_interrupted
        What an interruption (Ctrl-C) of a study with a complete trial does: the best so far is fitted, or, by default,
        the interruption goes on.

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
        family: str,
        study: StudySettings,
        *,
        settings: ModelSettings | Mapping[str, Any] | None = None,
        space: SearchSpace | None = None,
        splitter: PurgedSplitter | None = None,
        threshold: float | Literal["tuned"] = "tuned",
        periods_per_year: float = 252,
        seed: int = 0,
        storage: StudyStorage | None = None,
        name: str | None = None,
        enqueue: Sequence[Mapping[str, Any]] = (),
        workers: int = 1,
        observe: Callable[[StudyProgress], None] | None = None,
        keep: Callable[[Mapping[str, Any], Evidence], None] | None = None,
        memory: NestedMemory | None = None,
        keep_interrupted: bool = False,
    ) -> None:
        super().__init__(seed=seed)
        if memory is not None and storage is None:
            raise ConfigurationError("studies whose trials are recorded need a storage; give one")
        plain = make_model(family, settings, seed=seed)
        self._family, self._plain, self._study = family, plain, study
        self._space = (plain.space if space is None else space).require(family)
        self._splitter, self._threshold, self._periods = splitter or _inner_folds(), threshold, periods_per_year
        self._storage, self._name, self._enqueue, self._workers = storage, name or family, tuple(enqueue), workers
        self._observe, self._keep, self._memory, self._keep_interrupted = observe, keep, memory, keep_interrupted
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
        version, memory = self._version(rows), self._memory
        kept = None if memory is None else KeptMoney(memory.folder / version)
        target = ModelTarget(
            self._family,
            rows,
            settings=base,
            space=self._space,
            objectives=self._study.objectives,
            splitter=self._splitter,
            threshold=self._threshold,
            periods_per_year=self._periods,
            seed=self.seed,
            compute=options.compute,
            keep=self._keep if kept is None else kept,
        )
        first = self._space.chosen_from(base)
        enqueue = [*([] if first is None else [first]), *self._enqueue]
        if memory is not None and kept is not None and self._storage is not None:
            result = run_recorded_study(
                memory.subject(self._name, version, rows),
                target,
                kept,
                self._study,
                self._storage,
                memory.ledger,
                enqueue=enqueue,
                observe=self._observe,
                workers=self._workers,
            )
        else:
            result = run_study(
                f"{self._name}/{version}",
                self._space,
                target,
                self._study,
                self._storage,
                enqueue=enqueue,
                observe=self._observe,
                workers=self._workers,
            )
        if result.stopped == "interrupted" and not self._keep_interrupted:
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
        identity = [plain.version, plain.settings.model_dump(mode="json"), self._threshold, self._periods, self.seed]
        folds = [type(self._splitter).__name__, {name: str(value) for name, value in vars(self._splitter).items()}]
        return data_version(
            rows.features.join(rows.outcome.add_suffix(" of the outcome")), json.dumps([*identity, *folds])
        )

    def _fitted(self) -> Model:
        if self.best is None:
            raise DataError(f"this tuned {self._family} model is not fitted; fit it first")
        return self.best

    def _predict(self, features: pd.DataFrame) -> Values:
        return self._fitted()._predict(features)

    def _save(self, folder: Path) -> Mapping[str, Any]:
        return self._fitted()._save(folder)

    def _load(self, folder: Path, extra: Mapping[str, Any]) -> None:
        raise NotImplementedError  # what was saved is a model of its own family


def _inner_folds() -> PurgedSplitter:
    return CombinatorialPurged(5, 1)


def _cut(rows: TrainingRows, splitter: PurgedSplitter) -> tuple[_Fold, ...]:
    folds = []
    tested = np.zeros(len(rows), np.int64)
    for number, (train, test) in enumerate(splitter.split(rows.outcome), 1):
        label = rows.label[train]
        if (label == label[0]).all():
            raise DataError(
                f"all {len(label)} rows that inner fold {number} would learn from have the label {label[0]:.0f}; tune "
                "with fewer inner folds, or add earlier bars"
            )
        tested[test] += 1
        folds.append(_Fold(rows.take(train), rows.take(test), test))
    if (tested > 1).any():
        raise ConfigurationError(
            "the inner folds of a study test some rows more than once, so that their money would count as often; use "
            "PurgedWalkForward, or CombinatorialPurged with one test fold"
        )
    return tuple(folds)


def _places(traded_in: pd.DatetimeIndex | None, sessions: pd.DatetimeIndex | None) -> NDArray[np.int64] | None:
    """Return the position of each row's session among all of them."""
    if traded_in is None or sessions is None:
        return None
    place = sessions.get_indexer(traded_in).astype(np.int64)
    if (place < 0).any():
        stray = traded_in[int(np.argmax(place < 0))]
        raise DataError(f"a row was traded in {stray.date()}, which is none of the sessions that money is counted on")
    return place


def _written(params: Mapping[str, Any]) -> str:
    return json.dumps(dict(params), sort_keys=True, default=str)
