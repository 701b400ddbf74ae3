"""A study: trials of a search space one after the other or side by side, kept so that a killed one goes on.

Trials have positions, from 0 to the budget. A position is settled by a trial that finished; one whose process died is
tried once more at the same position, with the same parameters. Everything a sampler or a pruner decides follows from
the seed, the position and the settled trials: with one worker a resumed study is the study that nothing happened to.
"""

import datetime as dt
import logging
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline.errors import ConfigurationError, DataError
from pipeline.frozen_settings import FrozenSettings
from pipeline.process_start import process_start
from pipeline.search_space import SearchSpace
from pipeline.tuning.objectives import Direction, directions
from pipeline.tuning.sampling import POSITION, make_pruner, make_sampler
from pipeline.tuning.storage import BEAT, StorageGoneError, StudyStorage
from pipeline.tuning.workers import require_parent, run_workers

if TYPE_CHECKING:
    import optuna

__all__ = [
    "Evaluate",
    "Progress",
    "Report",
    "StudyResult",
    "StudySettings",
    "TrialRecord",
    "run_study",
    "study_name",
]

Report = Callable[[int, float], None]
Evaluate = Callable[[dict[str, Any], Report], float | tuple[float, ...]]
State = Literal["complete", "pruned", "failed"]
Stopped = Literal["trials", "seconds", "patience", "failures", "interrupted"]

# Keys of what the trials and the study keep beside Optuna's own.
OWNER, ERROR, INTERRUPTED = "owner", "error", "interrupted"
QUEUE = "queue"
# Optuna's own key.
METRIC_NAMES = "study:metric_names"
TRIES = 2

_log = logging.getLogger(__name__)
# What of this process is at work: a trial of another one of its workers was left by an interruption.
_ACTIVE: set[str] = set()


class StudySettings(FrozenSettings):
    """Settings of a search.

    Attributes
    ----------
    objectives
        One name of :data:`~pipeline.tuning.objectives.OBJECTIVES`, or several: then the Pareto front is looked for.
    sampler
        ``tpe`` (multivariate), ``cmaes`` (one objective, two numbers or more in the space; options are drawn at
        random) or ``random``.
    pruner
        ``hyperband``, ``median`` or ``none``: whether a trial goes on after a fold or an epoch. With several objectives
        nothing is pruned.
    trials
        Budget of the study, earlier runs included.
    seconds
        Budget of one run; a trial that has begun is finished. None for no limit.
    patience
        Trials without improvement after which the study ends; None for never.
    seed
        Of everything random.
    startup_trials
        Drawn at random first; where all of them fail the study ends.

    Raises
    ------
    ConfigurationError
        For a setting that is impossible.
    """

    called: ClassVar[str] = "tuning:"

    objectives: tuple[str, ...] = ("log_loss",)
    sampler: Literal["tpe", "cmaes", "random"] = "tpe"
    pruner: Literal["hyperband", "median", "none"] = "median"
    trials: int = Field(default=100, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    patience: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    startup_trials: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(self.directions) > 1 and self.sampler == "cmaes":
            raise ConfigurationError("CMA-ES has one objective; use the sampler tpe or random for several")
        return self

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Direction in which each objective is better."""
        return directions(self.objectives)


@dataclass(frozen=True)
class TrialRecord:
    """One settled position of a study.

    Attributes
    ----------
    position
        0, 1, …
    number
        Optuna's, which differs where trials before it were tried again.
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
    """

    position: int
    number: int
    state: State
    params: dict[str, Any]
    values: tuple[float, ...] | None
    steps: dict[int, float]
    seconds: float
    error: str | None = None
    started: dt.datetime | None = None


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
        In the storage: as asked for, with the objectives and the space's fingerprint.
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
        found = _best(self.complete, self.directions)
        if found is None:
            raise DataError(f"the study {self.name} has no complete trial yet; continue it")
        return found

    @property
    def front(self) -> tuple[TrialRecord, ...]:
        """The Pareto front: complete trials that none is better than in one objective and as good in the others."""
        return tuple(trial for trial in self.complete if not _beaten(trial, self.complete, self.directions))


@dataclass(frozen=True)
class _Task:
    """Task of a worker process."""

    name: str
    space: SearchSpace
    evaluate: Evaluate
    settings: StudySettings
    forgiven: frozenset[int]
    until: float


def study_name(name: str, space: SearchSpace, settings: StudySettings) -> str:
    """A study's name in the storage: another space or other objectives are another study."""
    return f"{name}/{'+'.join(settings.objectives)}/{space.fingerprint()}"


def run_study(
    name: str,
    space: SearchSpace,
    evaluate: Evaluate,
    settings: StudySettings,
    storage: StudyStorage | None = None,
    *,
    enqueue: Sequence[Mapping[str, Any]] = (),
    observe: Callable[[Progress], None] | None = None,
    workers: int = 1,
) -> StudyResult:
    """Run a study to its budget, or on to it: settled trials of earlier runs count.

    An interruption (Ctrl-C) ends the run; where a trial is complete the study is handed back with ``stopped`` as
    ``interrupted``, the trial in progress is done over by the next run.

    Parameters
    ----------
    name
        Of what is tuned on which data: trials on other data are not trials of this study.
    space
        What to search.
    evaluate
        Gives parameters their value; ``report(step, value)`` of its second argument ends a trial that is pruned. What
        it raises fails its trial. With several workers it is pickled, and runs in fresh processes.
    settings
        How to search.
    storage
        Where to keep the study; in memory, for this run, without one.
    enqueue
        Parameters to try first, such as the champion's. Those outside the space or tried already are left out.
    observe
        Called after each settled trial, in this process.
    workers
        Processes. Any number of runs, on any machine, may share a study.

    Raises
    ------
    ConfigurationError
        For an empty space, a sampler that can't search it, or several workers without a storage to share.
    DataError
        If all trials failed: names the first error. The study is kept, and the next run tries new positions.
    StorageGoneError
        If the database was unreachable for too long.
    """
    space.require(name)
    _check(space, settings, storage, workers)
    storage = storage or StudyStorage.in_memory()
    began = time.monotonic()
    until = math.inf if settings.seconds is None else time.time() + settings.seconds
    full = study_name(name, space, settings)
    study = storage.patiently(lambda: _open(full, space, settings, storage, enqueue))
    states = {p: slot.state for p, slot in _slots(storage.patiently(lambda: storage.trials(study))).items()}
    # Where nothing worked yet the cause may have been fixed: what failed before this run is not part of its budget.
    failed = frozenset(position for position, state in states.items() if state == "failed")
    forgiven = frozenset() if "complete" in states.values() else failed
    task = _Task(full, space, evaluate, settings, forgiven, until)
    if observe is None:
        after: Callable[[], None] = _nothing
    else:
        tally = _Tally(task, study, storage, observe, began)
        tally.look(tell=False)
        after = tally.look
    stopped: Stopped
    try:
        if workers > 1:
            run_workers(_worker, task, storage, workers, after)
        # With several workers what is left for this process is what died with one of them.
        stopped = _work(task, study, storage, after)
    except KeyboardInterrupt:
        if not _complete(study, storage):
            raise
        stopped = "interrupted"
    trials = storage.patiently(lambda: storage.trials(study))
    records = tuple(_record(slot, space) for _, slot in sorted(_slots(trials).items()) if slot.state is not None)
    result = StudyResult(full, settings.objectives, settings.directions, records, stopped, time.monotonic() - began)
    if not result.complete and (wrong := [each for each in records if each.state == "failed"]):
        fresh = [each for each in wrong if each.position not in forgiven] or wrong
        raise DataError(
            f"all {len(fresh)} trials of the study {full} failed, the first with: {fresh[0].error}; the study is kept, "
            "and tries other parameters when it runs again"
        )
    return result


def _nothing() -> None:
    pass


def _worker(task: _Task, storage: StudyStorage) -> None:
    study = storage.patiently(lambda: _open(task.name, task.space, task.settings, storage, ()))
    _work(task, study, storage, require_parent)


def _check(space: SearchSpace, settings: StudySettings, storage: StudyStorage | None, workers: int) -> None:
    numbers = sum(hasattr(dimension, "low") for dimension in space.values())
    if settings.sampler == "cmaes" and numbers < 2:
        raise ConfigurationError(
            f"CMA-ES needs two numbers or more to search, and the space has {numbers}; use the sampler tpe"
        )
    if workers < 1:
        raise ConfigurationError(f"{workers} workers can't run a study; give 1 or more")
    if workers > 1 and (storage is None or storage.url is None):
        raise ConfigurationError("several workers need a storage to share; give a database or use one worker")


def _open(
    full: str, space: SearchSpace, settings: StudySettings, storage: StudyStorage, enqueue: Sequence[Mapping[str, Any]]
) -> "optuna.Study":
    import optuna

    logging.getLogger("optuna").setLevel(logging.WARNING)
    several = len(settings.directions) > 1
    with storage.turn(full):
        study = optuna.create_study(
            study_name=full,
            storage=storage.optuna,
            directions=list(settings.directions),
            sampler=make_sampler(settings),
            pruner=make_pruner("none" if several else settings.pruner, settings.startup_trials),
            load_if_exists=True,
        )
        if METRIC_NAMES not in storage.optuna.get_study_system_attrs(study._study_id):
            # What Optuna's page calls the values.
            storage.optuna.set_study_system_attr(study._study_id, METRIC_NAMES, list(settings.objectives))
        _queue(study, space, storage, enqueue)
    return study


def _queue(
    study: "optuna.Study", space: SearchSpace, storage: StudyStorage, enqueue: Sequence[Mapping[str, Any]]
) -> None:
    """Keep what is to be tried first in the study, by position: a resumed study has the same at the same place."""
    queued: dict[str, Any] = study.user_attrs.get(QUEUE, {})
    trials = storage.trials(study)
    known = [*queued.values(), *(trial.params for trial in trials)]
    position = max([-1, *map(int, queued), *_slots(trials)]) + 1
    size = len(queued)
    for params in enqueue:
        if not space.contains(params):
            _log.warning("%s: %s lie outside the search space and are not tried first", study.study_name, dict(params))
            continue
        written = space.written(params)
        if written not in known:
            known.append(written)
            queued[str(position)] = written
            position += 1
    if len(queued) > size:
        study.set_user_attr(QUEUE, queued)


@dataclass
class _Tally:
    """Counts what is settled, and tells of it."""

    task: _Task
    study: "optuna.Study"
    storage: StudyStorage
    observe: Callable[[Progress], None]
    began: float
    known: set[int] = field(default_factory=set)
    here: int = 0
    counts: dict[State, int] = field(default_factory=lambda: {"complete": 0, "pruned": 0, "failed": 0})
    best: TrialRecord | None = None

    def look(self, *, tell: bool = True) -> None:
        """Take in what was settled since the last look."""
        trials = self.storage.patiently(lambda: self.storage.trials(self.study))
        ways = self.task.settings.directions
        for position, slot in sorted(_slots(trials).items()):
            if position in self.known or slot.state is None:
                continue
            self.known.add(position)
            record = _record(slot, self.task.space)
            self.counts[record.state] += 1
            if record.state == "complete":
                self.best = _best([*([self.best] if self.best else []), record], ways)
            if tell:
                self.here += 1
                self.observe(self._progress(record))

    def _progress(self, last: TrialRecord) -> Progress:
        return Progress(
            name=self.task.name,
            trials=self.task.settings.trials,
            here=self.here,
            seconds=time.monotonic() - self.began,
            best=self.best,
            last=last,
            **self.counts,
        )


# --- positions ---


@dataclass
class _Slot:
    """A position and the trials at it, in order of their numbers."""

    position: int
    tries: list["optuna.trial.FrozenTrial"] = field(default_factory=list)

    @property
    def last(self) -> "optuna.trial.FrozenTrial":
        return self.tries[-1]

    @property
    def state(self) -> State | None:
        """State in which it was settled; None where it is not."""
        name = self.last.state.name
        if name in ("COMPLETE", "PRUNED"):
            return "complete" if name == "COMPLETE" else "pruned"
        return "failed" if name == "FAIL" and (ERROR in self.last.user_attrs or self.given_up) else None

    @property
    def given_up(self) -> bool:
        lost = [t for t in self.tries if t.state.name == "FAIL" and not {ERROR, INTERRUPTED} & t.user_attrs.keys()]
        return len(lost) >= TRIES

    @property
    def lost(self) -> bool:
        """Return True if it is to be tried again."""
        return self.last.state.name == "FAIL" and self.state is None

    @property
    def error(self) -> str | None:
        if self.state != "failed":
            return None
        return str(self.last.user_attrs.get(ERROR, f"its process died, {TRIES} times"))


def _slots(trials: Sequence["optuna.trial.FrozenTrial"]) -> dict[int, _Slot]:
    slots: dict[int, _Slot] = {}
    for trial in trials:
        # Another program may have added trials of its own: they are not part of the search.
        if (position := trial.user_attrs.get(POSITION)) is not None:
            slots.setdefault(position, _Slot(position)).tries.append(trial)
    return slots


def _record(slot: _Slot, space: SearchSpace) -> TrialRecord:
    trial, state = slot.last, slot.state
    if state is None:
        raise RuntimeError(f"position {slot.position} is not settled")
    return TrialRecord(
        position=slot.position,
        number=trial.number,
        state=state,
        params=space.read(trial.params),
        values=None if trial.values is None else tuple(trial.values),
        steps=dict(trial.intermediate_values),
        seconds=0.0 if trial.duration is None else trial.duration.total_seconds(),
        error=slot.error,
        # Optuna writes the machine's own time, without its zone.
        started=None if trial.datetime_start is None else trial.datetime_start.astimezone(dt.UTC),
    )


def _stop(slots: Mapping[int, _Slot], task: _Task) -> Stopped | None:
    """Say why no further trial is to begin; None where one is."""
    if time.time() >= task.until:
        return "seconds"
    counted = [slot for position, slot in sorted(slots.items()) if position not in task.forgiven]
    begun = [slot for slot in counted if slot.state is not None or slot.last.state.name == "RUNNING"]
    settled = [slot for slot in counted if slot.state is not None]
    if len(begun) >= task.settings.trials:
        return "trials"
    if len(settled) >= task.settings.startup_trials and all(slot.state == "failed" for slot in settled):
        return "failures"
    patience = task.settings.patience
    if patience is not None and _since_improvement(settled, task.settings.directions) >= patience:
        return "patience"
    return None


def _since_improvement(settled: Sequence[_Slot], ways: Sequence[Direction]) -> int:
    """Settled trials since the last that no trial before it was as good as; 0 before the first."""
    front: list[tuple[float, ...]] = []
    since = 0
    for slot in settled:
        since += bool(front)
        if slot.state != "complete":
            continue
        costs = _costs(slot.last.values, ways)
        if not any(all(a <= b for a, b in zip(other, costs, strict=True)) for other in front):
            front = [other for other in front if not all(b <= a for a, b in zip(other, costs, strict=True))] + [costs]
            since = 0
    return since


def _costs(values: Sequence[float], ways: Sequence[Direction]) -> tuple[float, ...]:
    return tuple(value if way == "minimize" else -value for value, way in zip(values, ways, strict=True))


def _best(trials: Sequence[TrialRecord], ways: Sequence[Direction]) -> TrialRecord | None:
    return min(trials, key=lambda trial: _costs(trial.values or (), ways)[0], default=None)


def _beaten(trial: TrialRecord, trials: Sequence[TrialRecord], ways: Sequence[Direction]) -> bool:
    own = _costs(trial.values or (), ways)
    others = (_costs(other.values or (), ways) for other in trials)
    return any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in others)


# --- one worker ---


def _work(task: _Task, study: "optuna.Study", storage: StudyStorage, after: Callable[[], None]) -> Stopped:
    """Run trials until there is a reason to stop."""
    token = uuid.uuid4().hex
    _ACTIVE.add(token)
    try:
        with _heart(storage) as heart:
            while True:
                claimed = storage.patiently(lambda: _claim(study, task, storage, token))
                if isinstance(claimed, str):
                    after()
                    return claimed
                heart.trial = claimed._trial_id
                _run(claimed, study, task, storage)
                heart.trial = None
                after()
    finally:
        _ACTIVE.discard(token)
        storage.optuna.remove_session()


def _claim(study: "optuna.Study", task: _Task, storage: StudyStorage, token: str) -> "optuna.Trial | Stopped":
    """Begin the trial of the next position: of one that was lost before a new one."""
    import optuna
    from optuna.trial import TrialState

    with storage.turn(task.name):
        trials = storage.trials(study)
        dead = [t for t in trials if t.state == TrialState.RUNNING and not _alive(t, token, storage.grace)]
        for trial in dead:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        if dead:
            _log.warning("%s: %d trials were left behind by processes that died", task.name, len(dead))
            trials = storage.trials(study)
        slots = _slots(trials)
        if (why := _stop(slots, task)) is not None:
            return why
        owner = {"owner": _owner_id(), "token": token, "at": time.time()}
        # One that a process put there and died before it began: it has its position already.
        if any(slot.last.state == TrialState.WAITING for slot in slots.values()):
            claimed = study.ask()
            claimed.set_user_attr(OWNER, owner)
            storage.show(claimed)
            return claimed
        lost = next((slot for _, slot in sorted(slots.items()) if slot.lost), None)
        position = lost.position if lost is not None else max(slots, default=-1) + 1
        first: dict[str, Any] = {"fixed_params": study.user_attrs.get(QUEUE, {}).get(str(position), {})}
        if lost is not None and lost.last.params.keys() == task.space.keys():
            # With what its sampler noted of it, from which CMA-ES goes on.
            noted = {key: value for key, value in lost.last.system_attrs.items() if "completed_rung" not in key}
            first = {**noted, "fixed_params": lost.last.params}
        study.add_trial(
            optuna.create_trial(
                state=TrialState.WAITING, system_attrs=first, user_attrs={POSITION: position, OWNER: owner}
            )
        )
        return study.ask()


def _run(trial: "optuna.Trial", study: "optuna.Study", task: _Task, storage: StudyStorage) -> None:
    import optuna
    from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
    from optuna.trial import TrialState
    from sqlalchemy.exc import DBAPIError

    single = len(task.settings.directions) == 1

    def report(step: int, value: float) -> None:
        if single:
            trial.report(float(value), step)
            if trial.should_prune():
                raise optuna.TrialPruned

    def tell(values: Sequence[float] | None, state: TrialState | None) -> None:
        try:
            storage.patiently(lambda: study.tell(trial, values, state, skip_if_finished=True))
        except UpdateFinishedTrialError:
            _log.warning("%s: trial %d was taken for dead, and is repeated", task.name, trial.number)

    def fail(error: str) -> None:
        _log.info("%s: trial %d failed: %s", task.name, trial.number, error)
        trial.set_user_attr(ERROR, error)
        tell(None, TrialState.FAIL)

    try:
        params = task.space.suggest(trial)
        storage.patiently(lambda: storage.show(trial))
        try:
            made = task.evaluate(params, report)
        except (optuna.TrialPruned, StorageGoneError):
            raise
        except Exception as error:  # whatever a trial raises ends the trial, not the study
            fail(_message(error))
            return
        values = [float(value) for value in made] if isinstance(made, tuple) else [float(made)]
        if len(values) != len(task.settings.objectives):
            fail(f"{len(values)} values came for the objectives {', '.join(task.settings.objectives)}")
        elif any(map(math.isnan, values)):
            fail(f"{task.settings.objectives[list(map(math.isnan, values)).index(True)]} is not a number")
        else:
            tell(values, TrialState.COMPLETE)
    except optuna.TrialPruned:
        tell(None, TrialState.PRUNED)
    except StorageGoneError:
        raise
    except BaseException:
        # Interrupted. Where it can't be noted, for a second interruption or an unreachable database, the next run
        # finds that its process is gone.
        with suppress(UpdateFinishedTrialError, StorageInternalError, DBAPIError):
            trial.set_user_attr(INTERRUPTED, True)
            study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        raise


def _message(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, DataError | ConfigurationError) and text else f"{type(error).__name__}: {text}"


def _complete(study: "optuna.Study", storage: StudyStorage) -> bool:
    return any(t.state.name == "COMPLETE" for t in storage.patiently(lambda: storage.trials(study)))


class _Heart:
    trial: int | None = None


@contextmanager
def _heart(storage: StudyStorage) -> Iterator[_Heart]:
    """Give signs of life of the trial in progress, from a thread of its own."""
    heart, stop = _Heart(), threading.Event()

    def beat() -> None:
        while not stop.wait(storage.heartbeat):
            if (trial := heart.trial) is not None:
                storage.beat(trial)
        storage.optuna.remove_session()

    thread = threading.Thread(target=beat, name="tuning heartbeat", daemon=True)
    if storage.url is not None:
        thread.start()
    try:
        yield heart
    finally:
        stop.set()
        if storage.url is not None:
            thread.join()


# --- who runs a trial ---


def _owner_id() -> dict[str, Any]:
    return {"host": _host(), "pid": os.getpid(), "born": process_start(os.getpid())}


def _host() -> str:
    """The machine since it was started, and the container of it: where a process id means something."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [
            Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            str(Path("/proc/self/ns/pid").readlink()),
        ]
    return " ".join(parts)


def _alive(trial: "optuna.trial.FrozenTrial", token: str, grace: float) -> bool:
    """Return True if the process that runs a trial exists; another machine's is judged by its heartbeats."""
    lease = trial.user_attrs.get(OWNER)
    if lease is None:
        return POSITION not in trial.user_attrs
    owner = lease["owner"]
    if owner["host"] != _host():
        return time.time() - max(lease["at"], trial.user_attrs.get(BEAT, 0.0)) < grace
    if owner["pid"] == os.getpid():
        return lease["token"] in _ACTIVE - {token}
    try:
        return process_start(owner["pid"]) == owner["born"]
    except PermissionError:  # another user's, who has taken the number over
        return False
