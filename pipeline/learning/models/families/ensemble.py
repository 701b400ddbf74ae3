"""Several models as one: averaged, weighted or stacked, on their scores of rows they had not learned from."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from pipeline.errors import ConfigurationError, DataError
from pipeline.features.sequences import sequence_timeframes
from pipeline.frozen_settings import FrozenSettings
from pipeline.learning.calibration import Calibration
from pipeline.learning.combination import Combination, Method, combination_from_json, equal_combination, fit_combination
from pipeline.learning.models.fit_options import FitOptions
from pipeline.learning.models.out_of_fold import at_level, evidence_of, inner_folds, level_of
from pipeline.learning.models.protocol import Model, ModelSettings
from pipeline.learning.models.registry import load_model, make_model
from pipeline.learning.models.rows import TrainingRows
from pipeline.search_space import Choice, SearchSpace

__all__ = ["Ensemble", "EnsembleSettings", "Member"]

Positions = NDArray[np.int64]
Values = NDArray[np.float64]

# Of sessions and of weeks; what `sequence_features` makes at most.
_MOST_STEPS = 99


class Member(FrozenSettings):
    """A family and its settings."""

    family: str
    settings: dict[str, Any] = Field(default_factory=dict)


def _named(member: Any) -> Any:
    return {"family": member} if isinstance(member, str) else member


class EnsembleSettings(ModelSettings):
    """Settings of :class:`Ensemble`.

    Attributes
    ----------
    members
        Two or more, each a family's name or ``{family: ..., settings: {...}}``; one family may come more than once.
    method
        ``average``: the mean score. ``weighted``: the mixture of scores with the least log loss. ``stacked``: logistic
        regression on the scores' log-odds. See :func:`~pipeline.learning.combination.fit_combination`.
    calibration_folds
        Of the members' out-of-fold scores too, which weights and stack are made from; three or more for those.
    """

    members: tuple[Annotated[Member, BeforeValidator(_named)], ...] = Field(
        (Member(family="logistic"), Member(family="lightgbm"), Member(family="mlp")), min_length=2, max_length=20
    )
    method: Method = "average"
    calibration: Calibration = "platt"

    @field_validator("members")
    @classmethod
    def _members_can_be_made(cls, members: tuple[Member, ...]) -> tuple[Member, ...]:
        for member in members:
            if member.family == Ensemble.family:
                raise ValueError("an ensemble can't be a member of one; name its members instead")
            make_model(member.family, member.settings)
        return members

    @field_validator("method")
    @classmethod
    def _folds_suffice(cls, method: Method, info: ValidationInfo) -> Method:
        if method != "average" and info.data.get("calibration_folds", 3) < 3:
            raise ValueError(
                "it is judged on folds that neither members nor weights learned from; set "
                "calibration_folds to 3 or more"
            )
        return method


@dataclass(frozen=True)
class _Judged:
    """Scores that members fitted on some rows (``train``) give others (``test``), shape (test rows, members)."""

    train: Positions
    test: Positions
    scores: Values


class Ensemble(Model):
    """Members of any family, and what was learned of how to combine them.

    Weights, stack and calibration come from scores of the training rows by members that were fitted on other folds of
    the same training rows, purged. What the calibration learns from is out of fold in both storeys: for each fold,
    members that saw neither it nor the fold they score teach the combination that is then tried on it. In the end the
    members are fitted on all rows.

    With ``calibration_folds`` K, a member is fitted K + 1 times for an average, and (K − 1) K / 2 times more for
    weights or a stack that is calibrated.

    Where some members read features and others sequences, rows and frames hold both side by side: a member learns from
    the columns of its kind. ``inputs`` of the ensemble says which it needs.

    Attributes
    ----------
    members
        Fitted, in the order of the settings; unfitted before.
    combination
        How their scores become one; None before the fit.
    """

    family = "ensemble"
    Settings: ClassVar[type[ModelSettings]] = EnsembleSettings
    space: ClassVar[SearchSpace] = SearchSpace({"method": Choice(["average", "weighted", "stacked"])})

    settings: EnsembleSettings

    def __init__(self, settings: ModelSettings | Mapping[str, Any] | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.members = self._fresh_members()
        self.combination: Combination | None = None
        self._kept: list[_Judged] | None = None
        kinds = {member.inputs for member in self.members}
        self.inputs = "both" if len(kinds) > 1 else kinds.pop()
        self.packages = tuple(sorted({name for member in self.members for name in member.packages}))
        self.uses_device = any(member.uses_device for member in self.members)
        self.probabilistic = self._gives_probabilities() or self.settings.calibration != "none"

    @property
    def member_names(self) -> tuple[str, ...]:
        """A name for each member, in order: its family, numbered where that comes more than once."""
        often = Counter(member.family for member in self.members)
        seen: Counter[str] = Counter()
        seen_so_far = []
        for member in self.members:
            seen[member.family] += 1
            number = f" {seen[member.family]}" if often[member.family] > 1 else ""
            seen_so_far.append(f"{member.family}{number}")
        return tuple(seen_so_far)

    def _fit(self, rows: TrainingRows, options: FitOptions) -> None:
        method = self.settings.method
        self.members = self._fit_members(rows, options)
        self.combination = equal_combination(len(self.members))
        if method != "average":
            judged = self._judged(rows, options)
            level = level_of(_side_by_side(self.members, rows.features), rows.weight)
            evidence = np.full((len(rows), len(self.members)), np.nan)
            for fold in judged:
                evidence[fold.test] = evidence_of(fold.scores, rows.weight[fold.test])
            self.combination = fit_combination(method, at_level(evidence, level), rows.label, rows.weight)
            # Calibration comes next, and asks for the same once more.
            self._kept = judged if self.settings.calibration != "none" else None
        logs = [
            member.training_log.add_prefix(f"{name} ")
            for name, member in zip(self.member_names, self.members, strict=True)
            if len(member.training_log)
        ]
        self.training_log = pd.concat(logs, axis=1).rename_axis("step") if logs else self.training_log.iloc[:0]

    def _predict(self, features: pd.DataFrame) -> Values:
        assert self.combination is not None  # noqa: S101 - the base class asks for a fitted model
        return self.combination.apply(_side_by_side(self.members, features))

    def _save(self, folder: Path) -> Mapping[str, Any]:
        assert self.combination is not None  # noqa: S101
        names = [f"member_{number:02d}_{member.family}" for number, member in enumerate(self.members)]
        for name, member in zip(names, self.members, strict=True):
            member.save(folder / name)
        return {"combination": self.combination.to_json(), "members": names}

    def _load(self, folder: Path, extra: Mapping[str, Any]) -> None:
        self.members = tuple(load_model(folder / str(name)) for name in extra["members"])
        expected = [member.family for member in self.settings.members]
        if (found := [member.family for member in self.members]) != expected:
            raise ValueError(f"the members are {', '.join(found)}, not {', '.join(expected)}")
        self.combination = combination_from_json(extra["combination"], len(self.members))

    def _inner_evidence(self, rows: TrainingRows, options: FitOptions) -> Values:
        kept, self._kept = self._kept, None
        judged = self._judged(rows, options) if kept is None else kept
        evidence = np.full(len(rows), np.nan)
        combinations = self._combinations(rows, judged, options)
        for fold, combination in zip(judged, combinations, strict=True):
            evidence[fold.test] = evidence_of(combination.apply(fold.scores), rows.weight[fold.test])
        return evidence

    def _combinations(self, rows: TrainingRows, judged: list[_Judged], options: FitOptions) -> list[Combination]:
        """Return for each fold the combination learned without it.

        It is taught by the other folds' scores, by members that saw neither that fold nor the scored one, at the level
        of the members it is to combine.
        """
        method, folds = self.settings.method, len(judged)
        if method == "average":
            return [equal_combination(len(self.members))] * folds
        fold_of = np.empty(len(rows), np.int64)
        for number, fold in enumerate(judged):
            fold_of[fold.test] = number
        evidence = np.full((folds, len(rows), len(self.members)), np.nan)
        from pipeline.learning.splits import CombinatorialPurged

        pairs = CombinatorialPurged(folds, 2).test_folds
        for (one, other), (train, test) in zip(pairs, inner_folds(rows, folds, 2), strict=True):
            both = self._judge(rows, train, test, options.inner(f"inner folds {one + 1} and {other + 1} of {folds}"))
            for without, scored in ((one, other), (other, one)):
                mine = fold_of[test] == scored
                evidence[without, test[mine]] = evidence_of(both.scores[mine], rows.weight[test[mine]])
        return [
            fit_combination(
                method,
                at_level(evidence[number, fold.train], level_of(fold.scores, rows.weight[fold.test])),
                rows.label[fold.train],
                rows.weight[fold.train],
            )
            for number, fold in enumerate(judged)
        ]

    def _judged(self, rows: TrainingRows, options: FitOptions) -> list[_Judged]:
        """Members of all folds but one, for each fold."""
        folds = self.settings.calibration_folds
        return [
            self._judge(rows, train, test, options.inner(f"inner fold {number} of {folds}"))
            for number, (train, test) in enumerate(inner_folds(rows, folds), 1)
        ]

    def _judge(self, rows: TrainingRows, train: Positions, test: Positions, options: FitOptions) -> _Judged:
        members = self._fit_members(rows.take(train), options)
        return _Judged(train, test, _side_by_side(members, rows.features.iloc[test]))

    def _fit_members(self, rows: TrainingRows, options: FitOptions) -> tuple[Model, ...]:
        members = self._fresh_members()
        for name, member in zip(self.member_names, members, strict=True):
            member.fit(self._rows_of(member, rows), options.inner(name))
        return members

    def _rows_of(self, member: Model, rows: TrainingRows) -> TrainingRows:
        if self.inputs != "both":
            return rows
        names = _sequence_columns()
        wanted = member.inputs == "sequences"
        mine = [name for name in rows.features.columns if (name in names) == wanted]
        if not mine:
            raise DataError(
                f"the ensemble's member {member.family} reads {member.inputs}, and the rows hold none; give features "
                "and sequences side by side"
            )
        return TrainingRows(rows.features[mine], rows.outcome)

    def _fresh_members(self) -> tuple[Model, ...]:
        # Seeds differ, so that one family with the same settings twice is two models.
        return tuple(
            make_model(member.family, member.settings, seed=self.seed + number)
            for number, member in enumerate(self.settings.members)
        )

    def _gives_probabilities(self) -> bool:
        """Return True if the combined scores are probabilities.

        Raises
        ------
        ConfigurationError
            For scores that can't be combined by this method.
        """
        kinds = {member.probabilistic for member in self.members}
        if self.settings.method == "stacked" or kinds == {True}:
            return True
        if self.settings.method == "weighted" or len(kinds) > 1:
            other = next(member.family for member in self.members if not member.probabilistic)
            how = "weighted" if self.settings.method == "weighted" else "averaged"
            raise ConfigurationError(
                f"ensemble: the scores of its member {other} are not probabilities and can't be {how} with others; "
                f"set calibration: platt in the settings of {other}, or method: stacked"
            )
        return False


def _side_by_side(members: tuple[Model, ...], features: pd.DataFrame) -> Values:
    return np.column_stack([member.predict_proba(features) for member in members])


@cache
def _sequence_columns() -> frozenset[str]:
    """Every name that a column of sequences can have."""
    most = sequence_timeframes(_MOST_STEPS, _MOST_STEPS)
    return frozenset(name for frame in most for name in frame.columns)
