"""Trials of a study: what is known of each, of the progress, and of a study as it stands."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.errors import DataError
from pipeline.tuning.objectives import Direction

__all__ = ["Progress", "Report", "State", "Stopped", "StudyResult", "TrialRecord", "best_of", "costs"]

State = Literal["complete", "pruned", "failed"]
Stopped = Literal["trials", "seconds", "patience", "failures", "interrupted"]
Report = Callable[[int, float], None]
"""Takes a step and the value so far; raises to end a trial that promises nothing."""


@dataclass(frozen=True)
class TrialRecord:
    """One settled position of a study.

    Attributes
    ----------
    position
        0, 1, …
    state
        ``complete``, ``pruned`` or ``failed``.
    params
        As the search space suggested them.
    values
        Of the objectives; of a pruned trial the last it reported; None of a failed one.
    steps
        What it reported, by fold or epoch.
    seconds
        From start to end.
    error
        Why it failed.
    started
        When it began, UTC.
    notes
        What sampler and pruner wrote down of it, for the trials after it.
    """

    position: int
    state: State
    params: dict[str, Any]
    values: tuple[float, ...] | None
    steps: dict[int, float]
    seconds: float
    error: str | None = None
    started: dt.datetime | None = None
    notes: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def finished(self) -> dt.datetime:
        """When it ended, UTC; now, where it is not known when it began."""
        if self.started is None:
            return dt.datetime.now(tz=dt.UTC)
        return self.started + dt.timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Progress:
    """Progress of a study, reported after each trial.

    Attributes
    ----------
    name
        Of the study.
    trials
        Its budget.
    complete, pruned, failed
        Settled so far, earlier runs included.
    here
        Settled in this run.
    seconds
        Since the run began.
    best
        The best complete trial, by the first objective; None before there is one.
    last
        The trial just settled.
    """

    name: str
    trials: int
    complete: int
    pruned: int
    failed: int
    here: int
    seconds: float
    best: TrialRecord | None
    last: TrialRecord


@dataclass(frozen=True)
class StudyResult:
    """A study as it stands at the end of a run.

    Attributes
    ----------
    name
        As asked for, with the objectives and the space's fingerprint.
    objectives, directions
        What was searched for.
    trials
        Settled positions, in order.
    stopped
        Why the run ended: ``trials`` (the budget), ``seconds``, ``patience`` or ``interrupted``.
    seconds
        That the run took.
    """

    name: str
    objectives: tuple[str, ...]
    directions: tuple[Direction, ...]
    trials: tuple[TrialRecord, ...]
    stopped: Stopped
    seconds: float

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The complete trials, in order."""
        return tuple(trial for trial in self.trials if trial.state == "complete")

    @property
    def best(self) -> TrialRecord:
        """The best complete trial by the first objective, the earliest of equal ones."""
        found = best_of(self.complete, self.directions)
        if found is None:
            raise DataError(f"the study {self.name} has no complete trial yet; continue it")
        return found

    @property
    def front(self) -> tuple[TrialRecord, ...]:
        """The Pareto front: complete trials that none is better than in one objective and as good in the others."""
        return tuple(trial for trial in self.complete if not _beaten(trial, self.complete, self.directions))


def costs(values: Sequence[float], ways: Sequence[Direction]) -> tuple[float, ...]:
    """Values that are the better the lower they are."""
    return tuple(value if way == "minimize" else -value for value, way in zip(values, ways, strict=True))


def best_of(trials: Sequence[TrialRecord], ways: Sequence[Direction]) -> TrialRecord | None:
    """The best of complete trials by the first objective, the first of equal ones; None of none."""
    return min(trials, key=lambda trial: costs(trial.values or (), ways)[0], default=None)


def _beaten(trial: TrialRecord, trials: Sequence[TrialRecord], ways: Sequence[Direction]) -> bool:
    own = costs(trial.values or (), ways)
    others = (costs(other.values or (), ways) for other in trials)
    return any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in others)
