"""Samplers and pruners whose choices follow from the seed, a trial's position and what finished before it alone.

Optuna's own go on from a random state in memory and from a trial's number in the storage. A killed study has lost the
first, and a retried trial has another number: it would go on differently from one that nothing had happened to.
"""

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from pipeline.tuning.study import StudySettings

__all__ = ["POSITION", "make_pruner", "make_sampler"]

# The trial's attribute: its place in the study, from 0; a retry has the place of the trial it stands for.
POSITION = "position"


def make_sampler(settings: "StudySettings") -> BaseSampler:
    """The sampler of a study, seeded again for each position."""

    def make(seed: int) -> BaseSampler:
        if settings.sampler == "random":
            return RandomSampler(seed=seed)
        with warnings.catch_warnings():
            # Experimental since 2020: both are what the issue of tuning several things at once needs.
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

    return _ByPosition(make, settings.seed)


def make_pruner(kind: Literal["hyperband", "median", "none"], startup_trials: int) -> BasePruner:
    """The pruner of a study, by what a trial reports of its folds or epochs."""
    if kind == "hyperband":
        return _Hyperband()
    if kind == "median":
        return MedianPruner(n_startup_trials=startup_trials)
    return NopPruner()


class _ByPosition(BaseSampler):
    """Another sampler, made again for each trial from the seed and the trial's position."""

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._inner = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        seeds = np.random.SeedSequence([self._seed, trial.user_attrs[POSITION]])
        self._inner = self._make(int(seeds.generate_state(1)[0]))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        # CMA-ES adds the number to its seed. TPE knows by it which of the running trials it is, and needs the true one.
        seen = _at_position(trial) if isinstance(self._inner, CmaEsSampler) else trial
        return self._inner.sample_relative(study, seen, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._inner.after_trial(study, trial, state, values)


class _Hyperband(HyperbandPruner):
    """Hyperband whose brackets go by position, and whose longest run is that of the study's first complete trial."""

    def _try_initialization(self, study: Study) -> None:
        if self._max_resource == "auto":
            complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            steps = [trial.last_step for trial in complete if trial.last_step is not None]
            if not steps:
                return
            self._max_resource = steps[0] + 1
        super()._try_initialization(study)

    def _get_bracket_id(self, study: Study, trial: FrozenTrial) -> int:
        # A resumed study's first trial is in the bracket it would have been in without the break. Brackets' own
        # studies are asked here too, and are made when the brackets are known.
        if not self._pruners and type(study) is Study:
            self._try_initialization(study)
        # What a trial reported before its process died would compete with its own retry.
        if trial.state == TrialState.FAIL:
            return -1
        return super()._get_bracket_id(study, _at_position(trial))


def _at_position(trial: FrozenTrial) -> FrozenTrial:
    seen = copy.copy(trial)
    seen.number = trial.user_attrs[POSITION]
    return seen
