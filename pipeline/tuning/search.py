"""Optuna, in memory: it suggests parameters and says which trials to end early.

Trials are kept in the ledger (:mod:`pipeline.tuning.trial_store`). Here the settled ones are handed to a study of
Optuna's in memory, of which only public names are used. Everything it decides follows from the seed, a trial's position
and the trials settled before it, so that a resumed study goes on as if nothing had happened.
"""

import logging
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline.search_space import Choice, Dimension, Real, SearchSpace
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.trials import TrialRecord

__all__ = ["AskedTrial", "Pruned", "Search", "distributions", "frozen_trial"]

Pruned = optuna.TrialPruned
"""Raised by a report: the trial is to end here."""

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class Search:
    """A study's sampler and pruner, and what they know of its trials.

    Parameters
    ----------
    name
        Of the study; Hyperband's brackets go by it.
    space
        What is searched.
    settings
        How.
    """

    def __init__(self, name: str, space: SearchSpace, settings: StudySettings) -> None:
        logging.getLogger("optuna").setLevel(logging.WARNING)
        self._name, self._space, self._settings = name, space, settings
        self._distributions = distributions(space)
        self._single = len(settings.directions) == 1
        self._trials: list[TrialRecord] = []
        self._study = self._made()

    def add(self, trials: Iterable[TrialRecord]) -> None:
        """Take in trials that were settled elsewhere: by an earlier run, or by another process."""
        for trial in trials:
            self._trials.append(trial)
            self._study.add_trial(frozen_trial(trial, self._space, self._distributions))

    def ask(self, position: int, first: Mapping[str, Any] | None = None) -> "AskedTrial":
        """Begin the trial of a position: with the parameters given, as they are written, or with suggested ones."""
        if self._settings.pruner == "hyperband" and self._single:
            self._set_longest()
        self._sampler.position = position
        if first is not None:
            self._study.enqueue_trial(dict(first))
        trial = self._study.ask()
        return AskedTrial(trial, self._space.suggest(trial), self._single)

    def settle(self, asked: "AskedTrial", record: TrialRecord) -> TrialRecord:
        """End a trial that was begun here, and add to its record what it reported and what was noted of it."""
        self._trials.append(record)
        if record.state == "failed":
            # What it reported would compete with the others.
            self._study = self._made()
            return record
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, asked.trial.number)
        found = self._storage.get_trial(trial_id)
        steps, values = dict(found.intermediate_values), record.values
        if record.state == "pruned":
            last = steps[max(steps)] if steps else math.nan
            values = None if math.isnan(last) else (last,)
        # As Study.tell does, which copies the trial twice besides.
        self._storage.set_trial_state_values(trial_id, STATES[record.state], values)
        self._trials[-1] = record = replace(record, values=values, steps=steps, notes=dict(found.system_attrs))
        return record

    def _made(self) -> Study:
        """A study of Optuna's with the trials known."""
        self._sampler = _ByPosition(self._settings, self._distributions)
        self._longest: int | None = None
        pruner: BasePruner = NopPruner()
        if self._single and self._settings.pruner == "median":
            pruner = MedianPruner(n_startup_trials=self._settings.startup_trials)
        self._storage = InMemoryStorage()
        study = optuna.create_study(
            storage=self._storage,
            study_name=self._name,
            directions=list(self._settings.directions),
            sampler=self._sampler,
            pruner=pruner,
        )
        self._study_id = self._storage.get_study_id_from_name(self._name)
        study.add_trials(frozen_trial(trial, self._space, self._distributions) for trial in self._trials)
        return study

    def _set_longest(self) -> None:
        """Give Hyperband the longest run there is: that of the first complete trial."""
        if self._longest is not None:
            return
        reported = (trial.steps for trial in self._trials if trial.state == "complete" and trial.steps)
        if (steps := next(reported, None)) is not None:
            self._longest = max(steps) + 1
            self._study.pruner = HyperbandPruner(max_resource=self._longest)
            # It makes its brackets when it is first asked; a trial that reported nothing is never pruned.
            self._study.pruner.prune(self._study, optuna.create_trial(state=TrialState.RUNNING))


@dataclass(frozen=True)
class AskedTrial:
    """A trial that was begun.

    Attributes
    ----------
    trial
        Optuna's.
    params
        To be judged.
    single
        Whether there is one objective: several have no order to prune by.
    """

    trial: Trial
    params: dict[str, Any]
    single: bool

    def report(self, step: int, value: float) -> None:
        """Take a step and the value so far; raise :data:`Pruned` where the trial is to end."""
        if self.single:
            self.trial.report(float(value), step)
            if self.trial.should_prune():
                raise Pruned


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """A search space as Optuna describes it."""
    return {name: _distribution(dimension) for name, dimension in space.items()}


def frozen_trial(trial: TrialRecord, space: SearchSpace, described: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """A settled trial as Optuna's storages take it."""
    failed = trial.state == "failed"
    return optuna.create_trial(
        state=STATES[trial.state],
        params=space.written(trial.params),
        distributions={name: described[name] for name in trial.params},
        values=None if failed else trial.values,
        intermediate_values=None if failed else trial.steps,
        system_attrs=None if failed else dict(trial.notes),
    )


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution([dimension.written(option) for option in dimension.options])
    if isinstance(dimension, Real):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


class _ByPosition(BaseSampler):
    """Another sampler, made again for each trial from the seed and the trial's position."""

    def __init__(self, settings: StudySettings, described: Mapping[str, BaseDistribution]) -> None:
        self._settings = settings
        # What a sampler finds out by reading all trials.
        searched = {name: each for name, each in sorted(described.items()) if not each.single()}
        if settings.sampler == "cmaes":
            searched = {name: each for name, each in searched.items() if not isinstance(each, CategoricalDistribution)}
        self._searched = {} if settings.sampler == "random" else searched
        self.position = 0
        self._inner = self._made(0)

    def _made(self, seed: int) -> BaseSampler:
        settings = self._settings
        if settings.sampler == "random":
            return RandomSampler(seed=seed)
        with warnings.catch_warnings():
            # Experimental since 2020: both are what tuning several things at once needs.
            warnings.filterwarnings("ignore", message=".*is an experimental feature|.*experimental.*")
            if settings.sampler == "cmaes":
                return CmaEsSampler(
                    n_startup_trials=settings.startup_trials,
                    independent_sampler=RandomSampler(seed=seed),
                    warn_independent_sampling=False,
                    consider_pruned_trials=settings.pruner == "hyperband",
                    seed=seed,
                )
            return TPESampler(n_startup_trials=settings.startup_trials, multivariate=True, seed=seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        seeds = np.random.SeedSequence([self._settings.seed, self.position])
        self._inner = self._made(int(seeds.generate_state(1)[0]))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._searched

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._inner.after_trial(study, trial, state, values)
