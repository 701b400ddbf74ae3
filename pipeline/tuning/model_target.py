"""Hyperparameters of a model family: what a trial of them is judged by.

All rows a study sees are training rows of one fit. Each trial is judged by scores of purged inner folds of these rows;
what comes after them, the outer test among it, is out of reach.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning.models import FitOptions, Model, Progress, TrainingRows
from pipeline.learning.models.boosting import BoostedModel
from pipeline.learning.models.boosting_rows import PreparedRows
from pipeline.learning.models.out_of_fold import at_level, evidence_of
from pipeline.learning.splits import PurgedSplitter
from pipeline.learning.threshold import tune_threshold
from pipeline.learning.training.settings import TrainingSettings
from pipeline.learning.walk_forward import Threshold
from pipeline.tuning.objectives import Evidence, Judged, directions, money_by_day, values_of
from pipeline.tuning.recent import Recent
from pipeline.tuning.request import StudyRequest
from pipeline.tuning.trials import Report

__all__ = ["ModelTarget"]

Values = NDArray[np.float64]
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
    rows
        Training rows of one fit: all that the study may know.
    request
        Family, space, objectives (log loss by default) and how its models learn and are judged. The threshold is for
        the objectives in money; how trades count in training is the rows' own.
    periods_per_year
        Of the instrument.
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
        rows: TrainingRows,
        request: StudyRequest,
        *,
        periods_per_year: float = 252,
        traded_in: pd.DatetimeIndex | None = None,
        sessions: pd.DatetimeIndex | None = None,
        remembered: int = 0,
    ) -> None:
        plain = request.model()
        self.space = (plain.space if request.space is None else request.space).require(plain.family)
        self.objectives = request.objectives or ("log_loss",)
        directions(self.objectives)
        self._request, self._periods = request, periods_per_year
        self._probabilistic = plain.probabilistic
        if "log_loss" in self.objectives and not self._probabilistic:
            raise ConfigurationError(
                f"the scores of {plain.family} are not probabilities, so log_loss can't judge them; tune for net or "
                "sharpe_low, or calibrate the scores"
            )
        self._folds = _cut(rows, request.splitter)
        if request.threshold == "tuned" and len(self._folds) < 2:
            raise ConfigurationError(
                "a threshold is tuned for each inner fold on the others, and there is one inner fold only; ask for two "
                "or more, or give a number"
            )
        self._sessions, self._place = sessions, _places(traded_in, sessions)
        self._prepared: dict[int, PreparedRows] = {}
        self._remembered = remembered
        self._scored: Recent[list[Values]] = Recent(remembered)

    def __call__(self, params: Mapping[str, Any], report: Report | None = None) -> float | tuple[float, ...]:
        """Value of the objective, or of each where there are several."""
        return self.judge(params, report).value

    def judge(self, params: Mapping[str, Any], report: Report | None = None) -> Judged:
        """Judge hyperparameters.

        A single objective's value so far is reported after each fold but the last; log loss of a network after each
        epoch of the first fold too, on the rows held back there, in steps before those of the folds.

        Raises
        ------
        ConfigurationError, DataError
            For settings or rows that the family refuses.
        """
        return Judged.of(self.objectives, self.evidence(params, report))

    def evidence(
        self,
        params: Mapping[str, Any],
        report: Report | None = None,
        *,
        threshold: Threshold | None = None,
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
        limit = self._request.threshold if threshold is None else threshold
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
        return self._request.model(params)

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
            return model.scores_of(prepared, self._request.compute)
        options = FitOptions(self._request.compute, observe if report is not None else None)
        return model.fit(fold.train, options).predict_proba(fold.test.features)

    def _can_prepare(self, model: BoostedModel) -> bool:
        return model.settings.calibration == "none" and self._request.compute.lightgbm_device == "cpu"

    def _evidence(self, scores: Sequence[Values], limit: Threshold, allowed: NDArray[np.bool_] | None) -> Evidence:
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

    def _taken(self, scores: Sequence[Values], limit: Threshold) -> list[NDArray[np.bool_]]:
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
