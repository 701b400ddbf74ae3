"""Studies without an orchestrator: what each searches on a symbol's data, where it begins, and what is kept of it.

The asset ``studies`` calls this, and so can a script or a test.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.backtest import Account
from pipeline.datasets import Dataset
from pipeline.errors import DataError
from pipeline.home import Home
from pipeline.learning.compute import CPU, Compute
from pipeline.learning.models import TrainingRows
from pipeline.learning.provenance import data_version
from pipeline.modelling import LearningInputs
from pipeline.search_space import SearchSpace
from pipeline.settings import Settings
from pipeline.tuning.joint_target import JointTarget
from pipeline.tuning.model_target import ModelTarget
from pipeline.tuning.request import StudyRequest
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.strategy_target import StrategyTarget, Traded
from pipeline.tuning.subject import Subject, Target
from pipeline.tuning.targets import StudyTarget
from pipeline.tuning.trial_store import TrialStore
from pipeline.tuning.trials import Progress
from pipeline.tuning.tuned_model import NestedStudies, TunedModel

__all__ = [
    "Study",
    "StudyInputs",
    "nested_model",
    "prepare_study",
    "study_settings",
]

_OUT_OF_FOLD = "out_of_fold"
_PRICES = ("open", "high", "low", "close", "volume")
# Settings of the strategy in the order in which studies are hashed, wherever they are declared: another order would be
# another study, and those that a home holds would begin anew.
_HASHED_FIRST = (
    *("hours", "allocation", "ticks_per_row", "tpo_minutes", "value_area_basis_points", "expansion_rows"),
    *("trend_window", "r_squared_threshold", "direction_window", "direction_long", "direction_short"),
    *("calm_short", "calm_long", "confidence_threshold", "confidence_weights"),
    *("atr_window", "stop_atr_factor", "min_stop_ticks"),
)
# Score from which a trade pays where targets lie about twice as far as stops: the default start of the search.
_THRESHOLD = 0.36


@dataclass(frozen=True)
class StudyInputs:
    """A symbol's data, as far as its studies need it.

    Attributes
    ----------
    dataset
        Which.
    bars
        Clean bars, all months.
    learning
        What models learn from.
    scores
        Of the target's family: the asset ``models``; None where it was not trained.
    volatility_index
        The asset of that name; None without one.
    book
        Name of the book; by default the symbol's own.
    """

    dataset: Dataset
    bars: pd.DataFrame
    learning: LearningInputs
    scores: pd.DataFrame | None = None
    volatility_index: pd.DataFrame | None = None
    book: str = ""

    @property
    def name(self) -> str:
        """Name of the book."""
        return self.book or self.dataset.key


@dataclass(frozen=True)
class Study:
    """A study that is ready to be run.

    Attributes
    ----------
    target
        What is searched.
    subject
        On which data.
    judge
        Judges parameters.
    folder
        Of all that is kept of it beside the database.
    present
        The settings' own parameters; None where they lie outside the space.
    rows
        What a model of the target learns from; None without one.
    """

    target: StudyTarget
    subject: Subject
    judge: Target
    folder: Path
    present: dict[str, Any] | None
    rows: TrainingRows | None = None

    def around(self, hyperparameters: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """The present parameters with other hyperparameters, a champion's say; None where that is no point to try."""
        if hyperparameters is None or self.target.kind not in ("model", "joint"):
            return None
        space = self.judge.space
        if self.target.kind == "model":
            return space.chosen_from(hyperparameters)
        given = {f"model.{name}": value for name, value in hyperparameters.items()}
        return space.chosen_from({**(self.present or {}), **given})


def study_settings(target: StudyTarget, settings: Settings, **overrides: Any) -> StudySettings:
    """Return the settings of a target's study, with those overrides that are not None.

    Raises
    ------
    ConfigurationError
        For an impossible override.
    """
    tuning = settings.tuning
    parts = {
        "objectives": tuning.objectives_of(target),
        "sampler": tuning.sampler,
        # A trial of the strategy is one replay of milliseconds: there is no half of it to judge it by.
        "pruner": tuning.pruner if target.kind in ("model", "joint") else "none",
        "trials": tuning.trials,
        "seconds": tuning.seconds,
        "patience": tuning.patience,
        "startup_trials": tuning.startup_trials,
        "seed": settings.seed,
    }
    return StudySettings(**parts | {name: value for name, value in overrides.items() if value is not None})


def prepare_study(
    target: StudyTarget,
    inputs: StudyInputs,
    settings: Settings,
    objectives: tuple[str, ...],
    home: Home,
    *,
    compute: Compute | None = None,
) -> Study:
    """Put together what a target's study needs; nothing is searched yet.

    Raises
    ------
    ConfigurationError
        For an objective or a space that does not suit the target.
    DataError
        For data that can't be searched on: too few rows for the inner folds, a family that was not trained.
    """
    making = _Making(target, inputs, settings, _request(target, settings, objectives, compute or CPU), home)
    if target.family is None:
        return _replayed(making, "rules")
    if target.kind == "scored":
        return _scored(making, target.family)
    return _model(making, target.family) if target.kind == "model" else _joint(making, target.family)


def nested_model(
    family: str,
    dataset: Dataset,
    settings: Settings,
    store: TrialStore,
    *,
    observe: Callable[[Progress], None] | None = None,
) -> TunedModel:
    """An unfitted model that tunes itself on what it learns from: in a walk-forward each fold on its own past.

    Its looks are recorded under ``<family> nested``, each with the sessions that it saw.
    """
    target, tuning = StudyTarget.of(family), settings.tuning
    nested = NestedStudies(
        store, dataset.key, settings.account_for(dataset.instrument).initial_capital, tuning.workers, observe
    )
    return TunedModel(
        _request(target, settings),
        study_settings(target, settings, trials=tuning.nested_trials),
        periods_per_year=dataset.instrument.periods_per_year,
        nested=nested,
    )


def _request(
    target: StudyTarget, settings: Settings, objectives: tuple[str, ...] = (), compute: Compute = CPU
) -> StudyRequest:
    """What the settings ask of a target's study."""
    selection = settings.models
    return StudyRequest(
        target.family,
        space=settings.tuning.space(target, settings.rules, require_rules=selection.require_rules),
        objectives=objectives,
        hyperparameters=selection.parameters.get(target.family or "", {}),
        threshold=selection.threshold,
        weights=selection.weights,
        require_rules=selection.require_rules,
        seed=settings.seed,
        compute=compute,
    )


@dataclass(frozen=True)
class _Making:
    """Ingredients of every kind of study."""

    target: StudyTarget
    inputs: StudyInputs
    settings: Settings
    request: StudyRequest
    home: Home

    @property
    def account(self) -> Account:
        return self.settings.account_for(self.inputs.dataset.instrument)

    @property
    def space(self) -> SearchSpace:
        return self.request.space or SearchSpace()

    def version(self, data: pd.DataFrame, *parts: object) -> str:
        """Hash of all that a trial's value depends on beside its parameters, the objectives and the space."""
        # Costs and ticks are the user's to set (VPOC_INSTRUMENTS).
        instrument = self.inputs.dataset.instrument.model_dump(mode="json", exclude={"description"})
        return data_version(data, json.dumps([self.inputs.dataset.identity, instrument, *parts], default=str))[:16]

    def of_bars(self, *parts: object) -> str:
        """The version of a study that replays bars."""
        bars = self.inputs.bars
        bars = bars[[name for name in ("timestamp", *_PRICES, "contract") if name in bars.columns]]
        strategy = self.settings.rules.flat
        ordered = {name: strategy[name] for name in _HASHED_FIRST if name in strategy} | strategy
        return self.version(bars, ordered, self.account.model_dump(mode="json"), *parts)

    def folder(self, version: str) -> Path:
        """Another objective, or another space, is another study."""
        what = "+".join(self.request.objectives)
        name = f"{self.target.name}-{what}-{version[:8]}-{self.space.fingerprint()[:8]}"
        return self.home.root / "tuning" / self.inputs.name / name

    def subject(self, version: str, first: pd.Timestamp, last: pd.Timestamp) -> Subject:
        capital = self.account.initial_capital
        market = self.inputs.dataset.key
        return Subject(market, self.target.name, version, first, last, capital, self.inputs.book)

    def strategy(self) -> dict[str, Any]:
        """The strategy's present parameters, as search spaces call them."""
        cutoff, threshold = self.account.entry_cutoff, self.settings.models.threshold
        return {
            **self.settings.rules.flat,
            "account.entry_cutoff": cutoff and f"{cutoff:%H:%M}",
            "models.threshold": _THRESHOLD if threshold == "tuned" else threshold,
        }


def _model(making: _Making, family: str) -> Study:
    settings, inputs = making.settings, making.inputs
    selection = settings.models
    plain = selection.model(family, settings.seed)
    rows = inputs.learning.rows(plain.inputs, selection.weights)
    known = rows.features.join(rows.outcome.add_suffix(" of the outcome"))
    version = making.version(
        known,
        plain.version,
        plain.settings.model_dump(mode="json"),
        selection.threshold,
        settings.seed,
        inputs.learning.version,
    )
    judge = ModelTarget(rows, making.request, periods_per_year=inputs.dataset.instrument.periods_per_year)
    candidates = inputs.learning.training_set
    # Its money is counted by the day of the decision.
    first, last = pd.DatetimeIndex(candidates["decided_on"]).min(), pd.DatetimeIndex(candidates["session"]).max()
    present = judge.space.chosen_from(plain.settings.model_dump())
    return Study(making.target, making.subject(version, first, last), judge, making.folder(version), present, rows)


def _replayed(making: _Making, traded: Traded, scores: pd.DataFrame | None = None) -> Study:
    """A study whose trials are replays: nothing is fitted in them."""
    threshold: float | None = None
    if scores is not None and "models.threshold" not in making.space and making.settings.models.threshold != "tuned":
        threshold = making.settings.models.threshold
    version = making.of_bars(traded, None if scores is None else data_version(scores, ""), threshold)
    judge = StrategyTarget(
        making.inputs.bars,
        making.inputs.dataset.instrument,
        making.request,
        rules=making.settings.rules,
        account=making.account,
        traded=traded,
        scores=scores,
    )
    subject = making.subject(version, judge.sessions[0], judge.sessions[-1])
    present = judge.space.chosen_from(making.strategy())
    return Study(making.target, subject, judge, making.folder(version), present)


def _scored(making: _Making, family: str) -> Study:
    key, scores = making.inputs.name, making.inputs.scores
    again = f"'vpoc models train {family} --{'book' if making.inputs.book else 'symbol'} {key}'"
    if scores is None:
        raise DataError(f"{family} has no scores on {key} yet: train it first with {again}")
    if scores.attrs.get("made_from") != making.inputs.learning.version:
        raise DataError(
            f"the scores of {family} on {key} belong to other candidates than the present ones: train it again with"
            f" {again}"
        )
    known = scores[scores["origin"] == _OUT_OF_FOLD]
    return _replayed(
        making,
        "scored_rules" if making.settings.models.require_rules else "scores",
        known[["decided_on", "side", "score"]].reset_index(drop=True),
    )


def _joint(making: _Making, family: str) -> Study:
    settings, inputs = making.settings, making.inputs
    selection = settings.models
    plain = selection.model(family, settings.seed)
    index = inputs.volatility_index
    version = making.of_bars(
        plain.version,
        plain.settings.model_dump(mode="json"),
        selection.weights,
        selection.threshold,
        selection.require_rules,
        settings.seed,
        None if index is None else data_version(index, ""),
        *settings.features.leave_out,
    )
    judge = JointTarget(
        inputs.bars,
        inputs.dataset.instrument,
        making.request,
        rules=settings.rules,
        account=making.account,
        volatility_index=index,
        features=settings.features,
    )
    own = {f"model.{name}": value for name, value in plain.settings.model_dump().items()}
    present = judge.space.chosen_from({**making.strategy(), **own})
    subject = making.subject(version, judge.sessions[0], judge.sessions[-1])
    return Study(making.target, subject, judge, making.folder(version), present)
