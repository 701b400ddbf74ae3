"""A study: trials of a search space one after the other or side by side, kept so that a killed one goes on.

Trials have positions, from 0 to the budget. A position is settled by a trial that finished; one whose process died is
tried once more. Everything a sampler or a pruner decides follows from the seed, the position and the settled trials:
with one worker a resumed study is the study that nothing happened to.
"""

import datetime as dt
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
from sqlalchemy.exc import DBAPIError

from pipeline.errors import ConfigurationError, DataError
from pipeline.search_space import SearchSpace
from pipeline.tuning.database import StorageGoneError
from pipeline.tuning.objectives import Direction, Judged
from pipeline.tuning.search import AskedTrial, Pruned, Search
from pipeline.tuning.settings import StudySettings, study_name
from pipeline.tuning.subject import Subject, Target
from pipeline.tuning.trial_store import Claim, KeptStudy, TrialStore
from pipeline.tuning.trials import Progress, State, Stopped, StudyResult, TrialRecord, best_of, costs
from pipeline.tuning.workers import require_parent, run_workers

__all__ = ["run_study"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Task:
    """Task of a worker process."""

    name: str
    subject: Subject
    target: Target
    settings: StudySettings
    forgiven: frozenset[int]
    until: float

    def kept(self, store: TrialStore) -> KeptStudy:
        return KeptStudy(store, self.name, self.subject, self.target.space)


def run_study(
    subject: Subject,
    target: Target,
    settings: StudySettings,
    store: TrialStore | None = None,
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
    subject
        What is tuned on which data: trials on other data are not trials of this study.
    target
        Judges parameters. Its ``report(step, value)`` ends a trial that is pruned; what it raises fails its trial. With
        several workers it is pickled, and runs in fresh processes.
    settings
        How to search.
    store
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
        For an empty space, a sampler that can't search it, or several workers without a database to share.
    DataError
        If all trials failed: names the first error. The study is kept, and the next run tries new positions.
    StorageGoneError
        If the database was unreachable for too long.
    """
    space = target.space.require(subject.target)
    _check(space, settings, store, workers)
    store = store or TrialStore.in_memory()
    if store.url is not None:
        store.ledger.prepare(subject.symbol)
    began = time.monotonic()
    until = math.inf if settings.seconds is None else time.time() + settings.seconds
    task = _Task(study_name(subject.study, space, settings), subject, target, settings, frozenset(), until)
    with task.kept(store) as kept:
        known = kept.begin(settings.objectives, enqueue)
        if all(trial.state != "complete" for trial in known):
            # Where nothing worked yet the cause may have been fixed: what failed before this run is not part of its
            # budget.
            task = replace(task, forgiven=frozenset(trial.position for trial in known if trial.state == "failed"))
        course = _Course(task, observe, began)
        course.add(known)
        stopped: Stopped
        try:
            if workers > 1:
                run_workers(_worker, task, store, workers, lambda: course.tell(kept.news()))
            # With several workers what is left for this process is what died with one of them.
            stopped = _work(task, kept, course, store)
        except KeyboardInterrupt:
            course.add(kept.news())
            if not course.counts["complete"]:
                raise
            stopped = "interrupted"
    return _result(task, course, stopped)


def _worker(task: _Task, store: TrialStore) -> None:
    with task.kept(store) as kept:
        course = _Course(task, None, time.monotonic())
        course.add(kept.begin(task.settings.objectives, ()))
        _work(task, kept, course, store, require_parent)


def _check(space: SearchSpace, settings: StudySettings, store: TrialStore | None, workers: int) -> None:
    numbers = sum(hasattr(dimension, "low") for dimension in space.values())
    if settings.sampler == "cmaes" and numbers < 2:
        raise ConfigurationError(
            f"CMA-ES needs two numbers or more to search, and the space has {numbers}; use the sampler tpe"
        )
    if workers < 1:
        raise ConfigurationError(f"{workers} workers can't run a study; give 1 or more")
    if workers > 1 and (store is None or store.url is None):
        raise ConfigurationError("several workers need a storage to share; give a database or use one worker")


def _result(task: _Task, course: "_Course", stopped: Stopped) -> StudyResult:
    records = tuple(course.records[position] for position in sorted(course.records))
    settings = task.settings
    seconds = time.monotonic() - course.began
    result = StudyResult(task.name, settings.objectives, settings.directions, records, stopped, seconds)
    if not result.complete and (wrong := [each for each in records if each.state == "failed"]):
        fresh = [each for each in wrong if each.position not in task.forgiven] or wrong
        raise DataError(
            f"all {len(fresh)} trials of the study {task.name} failed, the first with: {fresh[0].error}; the study is "
            "kept, and tries other parameters when it runs again"
        )
    return result


@dataclass
class _Course:
    """What is settled of a study, and whether it is to go on."""

    task: _Task
    observe: Callable[[Progress], None] | None
    began: float
    records: dict[int, TrialRecord] = field(default_factory=dict)
    here: int = 0
    counts: dict[State, int] = field(default_factory=lambda: {"complete": 0, "pruned": 0, "failed": 0})
    best: TrialRecord | None = None
    counted: int = 0
    failed: int = 0
    since: int = 0
    front: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, trials: Iterable[TrialRecord]) -> None:
        """Take in settled trials."""
        for trial in trials:
            if trial.position in self.records:
                continue
            self.records[trial.position] = trial
            self.counts[trial.state] += 1
            if trial.state == "complete":
                self.best = best_of([*([self.best] if self.best else []), trial], self.task.settings.directions)
            if trial.position not in self.task.forgiven:
                self.counted += 1
                self.failed += trial.state == "failed"
                self._improved(trial)

    def tell(self, trials: Iterable[TrialRecord]) -> None:
        """Take in trials that were settled in this run, and tell of each."""
        for trial in trials:
            self.add([trial])
            self.here += 1
            if self.observe is not None:
                self.observe(self._progress(trial))

    def stop(self, running: int) -> Stopped | None:
        """Say why no further trial is to begin, where others are at work on so many; None where one is."""
        settings = self.task.settings
        if time.time() >= self.task.until:
            return "seconds"
        if self.counted + running >= settings.trials:
            return "trials"
        if self.counted >= settings.startup_trials and self.failed == self.counted:
            return "failures"
        return "patience" if settings.patience is not None and self.since >= settings.patience else None

    def _improved(self, trial: TrialRecord) -> None:
        """Count the trials since the last that no trial before it was as good as."""
        ways: Sequence[Direction] = self.task.settings.directions
        self.since += bool(self.front)
        if trial.state != "complete":
            return
        own = costs(trial.values or (), ways)  # noqa: PD011 (no frame)
        if not any(all(a <= b for a, b in zip(other, own, strict=True)) for other in self.front):
            beaten = (all(b <= a for a, b in zip(other, own, strict=True)) for other in self.front)
            self.front = [other for other, gone in zip(self.front, beaten, strict=True) if not gone] + [own]
            self.since = 0

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


# --- one worker ---


def _work(
    task: _Task, kept: KeptStudy, course: _Course, store: TrialStore, after: Callable[[], None] | None = None
) -> Stopped:
    """Run trials until there is a reason to stop."""
    search = Search(task.name, task.target.space, task.settings)
    search.add(course.records[position] for position in sorted(course.records))

    def stop(fresh: Sequence[TrialRecord], running: int) -> Stopped | None:
        course.add(fresh)
        return course.stop(running)

    with _heart(kept, store):
        while True:
            fresh, claimed = kept.claim(stop)
            search.add(fresh)
            course.tell(fresh)
            if not isinstance(claimed, Claim):
                return claimed
            asked = search.ask(claimed.position, claimed.first)
            record, money = _judged(asked, claimed, search, task, kept)
            if kept.settle(record, money):
                course.tell([record])
            else:
                _log.warning("%s: trial %d was taken for dead, and is repeated", task.name, record.position)
            if after is not None:
                after()


def _judged(
    asked: AskedTrial, claimed: Claim, search: Search, task: _Task, kept: KeptStudy
) -> tuple[TrialRecord, pd.Series | None]:
    """Judge a trial: how it ended, and its money."""
    started, clock = dt.datetime.now(tz=dt.UTC), time.perf_counter()
    state: State = "failed"
    error = found = None
    try:
        found = task.target.judge(asked.params, asked.report)
        error = _wrong(found, task.settings.objectives)
        state = "failed" if error else "complete"
    except Pruned:
        state = "pruned"
    except StorageGoneError:
        raise
    except Exception as problem:  # whatever a trial raises ends the trial, not the study
        error = _message(problem)
    except BaseException:
        # Interrupted. Where it can't be noted, for a second interruption or an unreachable database, the next run
        # finds that its process is gone.
        with suppress(DBAPIError, OSError):
            kept.release(claimed.position)
        raise
    if error is not None:
        _log.info("%s: trial %d failed: %s", task.name, claimed.position, error)
    values = found.values if found is not None and state == "complete" else None  # noqa: PD011 (no frame)
    seconds = time.perf_counter() - clock
    record = TrialRecord(claimed.position, state, asked.params, values, {}, seconds, error, started)
    money = found.evidence.daily if found is not None and found.evidence is not None and state == "complete" else None
    return search.settle(asked, record), money


def _wrong(found: Judged, objectives: Sequence[str]) -> str | None:
    """Say what is wrong with a trial's values; None where nothing is."""
    if len(found.values) != len(objectives):
        return f"{len(found.values)} values came for the objectives {', '.join(objectives)}"
    missing = (name for name, value in zip(objectives, found.values, strict=True) if math.isnan(value))
    name = next(missing, None)
    return None if name is None else f"{name} is not a number"


def _message(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, DataError | ConfigurationError) and text else f"{type(error).__name__}: {text}"


@contextmanager
def _heart(kept: KeptStudy, store: TrialStore) -> Iterator[None]:
    """Give signs of life of the trial in progress, from a thread of its own."""
    if store.url is None:
        yield
        return
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(store.heartbeat):
            kept.beat()

    thread = threading.Thread(target=beat, name="tuning heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
