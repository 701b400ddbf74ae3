"""Studies without an orchestrator: what each searches on a symbol's data, where it begins, and what is kept of it.

The asset ``studies`` calls this, and so can a script or a test.
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.backtest import Account
from pipeline.datasets import Dataset
from pipeline.errors import DataError
from pipeline.home import Home, write_whole
from pipeline.learning.compute import Compute
from pipeline.learning.models import FitOptions, Model, TrainingRows
from pipeline.learning.provenance import data_version
from pipeline.learning.record import content_hash
from pipeline.locks import locked
from pipeline.modelling import LearningInputs
from pipeline.search_space import SearchSpace
from pipeline.settings import Settings
from pipeline.tuning.campaign import Campaign
from pipeline.tuning.joint_target import JointTarget
from pipeline.tuning.model_target import ModelTarget
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.strategy_target import StrategyTarget, Traded, by_section
from pipeline.tuning.subject import Subject, Target
from pipeline.tuning.targets import StudyTarget
from pipeline.tuning.trial_store import TrialStore
from pipeline.tuning.trials import Progress, StudyResult
from pipeline.tuning.tuned_model import NestedStudies, TunedModel

__all__ = [
    "Study",
    "StudyInputs",
    "best_model",
    "nested_model",
    "prepare_study",
    "settings_of",
    "study_document",
    "study_settings",
    "trials_table",
    "write_best",
]

DOCUMENT = "study.json"
MODEL = "model"
_OUT_OF_FOLD = "out_of_fold"
_PRICES = ("open", "high", "low", "close", "volume")
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
    """

    dataset: Dataset
    bars: pd.DataFrame
    learning: LearningInputs
    scores: pd.DataFrame | None = None
    volatility_index: pd.DataFrame | None = None


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
    making = _Making(target, inputs, settings, objectives, home, compute or Compute())
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
    target, tuning, selection = StudyTarget.of(family), settings.tuning, settings.models
    return TunedModel(
        family,
        study_settings(target, settings, trials=tuning.nested_trials),
        settings=selection.parameters.get(family),
        space=tuning.space(target),
        threshold=selection.threshold,
        periods_per_year=dataset.instrument.periods_per_year,
        seed=settings.seed,
        nested=NestedStudies(
            store,
            dataset.key,
            settings.account_for(dataset.instrument).initial_capital,
            tuning.workers,
            observe,
        ),
    )


@dataclass(frozen=True)
class _Making:
    """Ingredients of every kind of study."""

    target: StudyTarget
    inputs: StudyInputs
    settings: Settings
    objectives: tuple[str, ...]
    home: Home
    compute: Compute

    @property
    def account(self) -> Account:
        return self.settings.account_for(self.inputs.dataset.instrument)

    def space(self) -> SearchSpace:
        return self.settings.tuning.space(self.target, require_rules=self.settings.models.require_rules)

    def version(self, data: pd.DataFrame, *parts: object) -> str:
        """Hash of all that a trial's value depends on beside its parameters, the objectives and the space."""
        # Costs and ticks are the user's to set (VPOC_INSTRUMENTS).
        instrument = self.inputs.dataset.instrument.model_dump(mode="json", exclude={"description"})
        return data_version(data, json.dumps([self.inputs.dataset.identity, instrument, *parts], default=str))[:16]

    def of_bars(self, *parts: object) -> str:
        """The version of a study that replays bars."""
        bars = self.inputs.bars
        bars = bars[[name for name in ("timestamp", *_PRICES, "contract") if name in bars.columns]]
        own = self.settings.strategy.model_dump(mode="json"), self.account.model_dump(mode="json")
        return self.version(bars, *own, *parts)

    def folder(self, version: str) -> Path:
        """Another objective, or another space, is another study."""
        what = "+".join(self.objectives)
        name = f"{self.target.name}-{what}-{version[:8]}-{self.space().fingerprint()[:8]}"
        return self.home.root / "tuning" / self.inputs.dataset.key / name

    def subject(self, version: str, first: pd.Timestamp, last: pd.Timestamp) -> Subject:
        capital = self.account.initial_capital
        return Subject(self.inputs.dataset.key, self.target.name, version, first, last, capital)

    def strategy(self) -> dict[str, Any]:
        """The strategy's present parameters, as search spaces call them."""
        cutoff, threshold = self.account.entry_cutoff, self.settings.models.threshold
        return {
            **self.settings.strategy.model_dump(),
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
    judge = ModelTarget(
        family,
        rows,
        settings=selection.parameters.get(family),
        space=making.space(),
        objectives=making.objectives,
        threshold=selection.threshold,
        periods_per_year=inputs.dataset.instrument.periods_per_year,
        seed=settings.seed,
        compute=making.compute,
    )
    candidates = inputs.learning.training_set
    # Its money is counted by the day of the decision.
    first, last = pd.DatetimeIndex(candidates["decided_on"]).min(), pd.DatetimeIndex(candidates["session"]).max()
    present = judge.space.chosen_from(plain.settings.model_dump())
    return Study(making.target, making.subject(version, first, last), judge, making.folder(version), present, rows)


def _replayed(making: _Making, traded: Traded, scores: pd.DataFrame | None = None) -> Study:
    """A study whose trials are replays: nothing is fitted in them."""
    instrument, space = making.inputs.dataset.instrument, making.space()
    threshold: float | None = None
    if scores is not None and "models.threshold" not in space and making.settings.models.threshold != "tuned":
        threshold = making.settings.models.threshold
    version = making.of_bars(traded, None if scores is None else data_version(scores, ""), threshold)
    judge = StrategyTarget(
        making.inputs.bars,
        instrument,
        making.settings.strategy,
        making.account,
        traded=traded,
        scores=scores,
        threshold=threshold,
        space=space,
        objectives=making.objectives,
    )
    subject = making.subject(version, judge.sessions[0], judge.sessions[-1])
    present = judge.space.chosen_from(making.strategy())
    return Study(making.target, subject, judge, making.folder(version), present)


def _scored(making: _Making, family: str) -> Study:
    key, scores = making.inputs.dataset.key, making.inputs.scores
    again = f"'vpoc models train {family} --symbol {key}'"
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
        family,
        inputs.bars,
        inputs.dataset.instrument,
        settings.strategy,
        making.account,
        volatility_index=index,
        settings=selection.parameters.get(family),
        space=making.space(),
        objectives=making.objectives,
        weights=selection.weights,
        threshold=selection.threshold,
        require_rules=selection.require_rules,
        seed=settings.seed,
        compute=making.compute,
        features=settings.features,
    )
    own = {f"model.{name}": value for name, value in plain.settings.model_dump().items()}
    present = judge.space.chosen_from({**making.strategy(), **own})
    subject = making.subject(version, judge.sessions[0], judge.sessions[-1])
    return Study(making.target, subject, judge, making.folder(version), present)


# --- what is kept ---


def best_model(study: Study, params: Mapping[str, Any], compute: Compute) -> Model | None:
    """The best parameters' model, fitted on all rows that the study saw; None where there is no model in it."""
    if isinstance(study.judge, ModelTarget) and study.rows is not None:
        return study.judge.model(params).fit(study.rows, FitOptions(compute))
    if isinstance(study.judge, JointTarget):
        return study.judge.fitted(params)
    return None


def write_best(
    study: Study, model: Model | None, document: Mapping[str, Any], pictures: Mapping[str, bytes]
) -> Path | None:
    """Write document, pictures and model into the study's folder; the model's own folder, where there is one."""
    study.folder.mkdir(parents=True, exist_ok=True)
    with locked(study.folder):  # two processes that share a study end it at about the same time
        if model is not None:
            fresh, kept = study.folder / f".{MODEL}", study.folder / MODEL
            shutil.rmtree(fresh, ignore_errors=True)
            model.save(fresh)
            # The same model stays where it is: the other process may be sending it to MLflow.
            if kept.exists() and content_hash(kept) == content_hash(fresh):
                shutil.rmtree(fresh)
            else:
                shutil.rmtree(kept, ignore_errors=True)
                fresh.rename(kept)
        for name, png in pictures.items():
            write_whole(study.folder / name, png)
        write_whole(study.folder / DOCUMENT, json.dumps(document, indent=2))
    return None if model is None else study.folder / MODEL


def trials_table(result: StudyResult) -> pd.DataFrame:
    """Every settled trial of a study.

    Returns
    -------
    DataFrame
        One row per trial: trial, state, a column an objective (NaN of a failed one), seconds, error, and a column a
        parameter, in the search space's order: numbers as they are, anything else as JSON.
    """
    rows = []
    for trial in result.trials:
        values = trial.values or (math.nan,) * len(result.objectives)  # noqa: PD011 (no frame)
        rows.append(
            {
                "trial": trial.position,
                "state": trial.state,
                **dict(zip(result.objectives, values, strict=False)),
                "seconds": trial.seconds,
                "error": trial.error or "",
                **trial.params,
            }
        )
    frame = pd.DataFrame(rows)
    for name in dict.fromkeys(name for trial in result.trials for name in trial.params):
        chosen = [trial.params.get(name) for trial in result.trials]
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in chosen):
            frame[name] = [json.dumps(value) for value in chosen]
    return frame


def study_document(study: Study, campaign: Campaign, settings: Settings) -> dict[str, Any]:
    """A study and what its looks leave of the best, as JSON writes it."""
    result, subject = campaign.result, study.subject
    counts = {state: sum(trial.state == state for trial in result.trials) for state in ("complete", "pruned", "failed")}

    def shown(trial: Any) -> dict[str, Any]:
        values = zip(result.objectives, trial.values or (), strict=False)  # noqa: PD011 (no frame)
        named = {name: float(f"{value:.6g}") for name, value in values}
        return {"trial": trial.position, "values": named, "params": trial.params}

    return {
        "symbol": subject.symbol,
        "target": subject.target,
        "study": result.name,
        "first_session": f"{subject.first:%F}",
        "last_session": f"{subject.last:%F}",
        "stopped": result.stopped,
        "seconds": result.seconds,
        "trials": counts,
        "best": shown(result.best),
        "settings": settings_of(study.target, result.best.params, settings),
        "front": [shown(one) for one in result.front] if len(result.objectives) > 1 else [],
        "remarks": _remarks(study, campaign),
        "looks": campaign.looks.count,
        "said": campaign.looks.sentence(),
        "deflated_sharpe_ratio": _known(campaign.deflated_sharpe),
        "probability_of_overfitting": _known(campaign.overfitting),
    }


def _remarks(study: Study, campaign: Campaign) -> list[str]:
    """Point out why the best trial is not a discovery, where that is so."""
    result, sentences = campaign.result, []
    first = result.objectives[0]
    if campaign.idle and first != "log_loss":
        sentences.append("The best trial trades nothing: of all that was tried, staying out was best.")
    if first == "log_loss" and isinstance(study.judge, ModelTarget):
        base = study.judge.base_rate_loss()
        best = (result.best.values or (math.inf,))[0]  # noqa: PD011 (no frame)
        beaten = "it is beaten by" if best < base else "no trial beats it; the best has"
        sentences.append(
            f"The share of winners alone, without a model, has a log loss of {base:.6g}; {beaten} {best:.6g}."
        )
    return sentences


def settings_of(target: StudyTarget, params: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Parameters as ``settings.yaml`` takes them, with the settings' own hyperparameters that were not searched."""
    plain = json.loads(json.dumps(dict(params), default=str))
    kept = settings.models.parameters.get(target.family or "", {})
    if target.kind == "model":
        return {"models": {"parameters": {target.family: {**kept, **plain}}}}
    sections = by_section(plain, target.family)
    if kept and "parameters" in sections.get("models", {}):
        found = sections["models"]["parameters"]
        sections["models"]["parameters"] = {family: {**kept, **own} for family, own in found.items()}
    return sections


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
