"""A study in MLflow: a parent run that goes on with the study, and a child run a trial.

The study's own database is what counts. MLflow holds a copy to look at: whatever it missed, because it was away or a
process was killed, the next run of the same study logs.
"""

import logging
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline.home import Home
from pipeline.learning.provenance import code_version
from pipeline.locks import locked
from resources.mlflow_limits import (
    PARAMETERS_A_BATCH,
    batches,
    cut,
    cut_tag,
    safe_names,
    value_text,
)
from resources.mlflow_store import Store, mlflow_errors, open_store, sentence
from resources.mlflow_study_log import (
    StudyFindings,
    StudyToLog,
    counts_of,
    log_files,
    set_tags,
    tell_findings,
    tell_state,
)
from resources.mlflow_trials import TrialRuns, objective_values
from resources.model_registry import SIMULATED_TAG, code_tags

if TYPE_CHECKING:
    from pipeline.tuning.trials import Progress, StudyResult, TrialRecord

__all__ = ["MOST_CHILDREN", "LoggedStudy", "TrackedStudy", "begin_study", "log_study"]

CHANGED_TAG = "vpoc.changed_since_first_run"
# A minute's writing at the rate of SQLite; MLflow's own page shows no more either.
MOST_CHILDREN = 2000
# While a study runs: how often it is told of, and for how much of its time.
TELL_SECONDS = 15.0
TELL_SHARE = 0.05
LEAST_SECONDS = 0.05
MANY = 200


@dataclass(frozen=True)
class LoggedStudy:
    """Where a study stands in MLflow.

    Attributes
    ----------
    run, experiment
        Identifiers of the parent run and its experiment.
    children
        Trials that have a run.
    added
        How many of them were written, or written to their end, by this call.
    without_run
        Trials that have none, since the study has more than MLflow is given; the table holds them.
    """

    run: str
    experiment: str
    children: int
    added: int
    without_run: int


def log_study(
    store: Store, study: StudyToLog, findings: StudyFindings, *, most_children: int = MOST_CHILDREN
) -> LoggedStudy:
    """Log a study whole: its parent run, and those of its trials that are not there yet.

    A study that goes on keeps its run: metrics and tags are of the study as it is now, parameters are those of its
    first run (MLflow never changes one) and the tag ``vpoc.changed_since_first_run`` tells what they became.

    Of a very large study the first ``most_children`` trials get a run, and of later ones the best and those of the
    Pareto front; tag ``vpoc.trials_without_run`` counts the others. The artifact ``tables/trials`` holds all.

    Parameters
    ----------
    store
        An open store.
    study
        Which.
    findings
        What it found.
    most_children
        See above.

    Raises
    ------
    MlflowException, OSError, SQLAlchemyError
        Where the store is away or refuses; what was done stays done, and the next call goes on from there.
    """
    store.home.mlflow.mkdir(parents=True, exist_ok=True)
    # Two processes that end the same study at the same time would both write all of it.
    with locked(store.home.mlflow):
        return _log(store, study, findings, most_children)


def begin_study(store: Store, study: StudyToLog) -> tuple[str, str]:
    """Open a study's run: made at first, reopened afterwards; its identifier and its experiment's.

    Raises
    ------
    MlflowException, OSError, SQLAlchemyError
        Where the store is away or refuses.
    """
    experiment_id = store.experiment(study.symbol, studies=True)
    tags = {name: cut_tag(value) for name, value in _study_tags(study).items()}
    found = _runs(store, experiment_id, study)
    if found:
        run_id = store.reopen(found[0], tags)
    else:
        name = f"tune {study.target} {'+'.join(study.settings.objectives)} {study.version[:8]}"
        made = store.client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
        run_id = str(_runs(store, experiment_id, study)[0].info.run_id)
        if run_id != made:
            store.client.delete_run(made)  # another process was first
    _set_parameters(store, run_id, study)
    return run_id, experiment_id


@dataclass
class TrackedStudy:
    """A study while it runs.

    Attributes
    ----------
    study
        Which.
    run_id
        MLflow's run; None where MLflow was away when it began.
    logged
        Where it stands in MLflow; None before :meth:`keep`, and where MLflow is away.
    """

    study: StudyToLog
    home: Home
    log: logging.Logger
    store: Store | None = None
    run_id: str | None = None
    logged: LoggedStudy | None = None
    waits: str = field(default="", repr=False)
    tell_seconds: float = TELL_SECONDS
    _runs: TrialRuns | None = field(default=None, repr=False)
    _settled: "list[TrialRecord]" = field(default_factory=list, repr=False)
    _told: float = field(default_factory=time.monotonic, repr=False)
    _rate: float = math.nan

    def begin(self, store: Store) -> None:
        """Open the study's run.

        Raises
        ------
        MlflowException, OSError, SQLAlchemyError
            Where the store is away or refuses.
        """
        self.run_id, experiment_id = begin_study(store, self.study)
        self._runs = TrialRuns(store, experiment_id, self.run_id, self.study.settings.objectives)
        self.store = store

    def observe(self, progress: "Progress") -> None:
        """Take in a settled trial; every fifteen seconds MLflow is told, for a twentieth of the time at most.

        What did not fit into that time follows at the end. Where MLflow goes away, it is told at the end too.
        """
        self._rate = progress.here / progress.seconds if progress.seconds > 0 else math.nan
        self._settled.append(progress.last)
        since = time.monotonic() - self._told
        if self.store is None or self._runs is None or since < self.tell_seconds:
            return
        try:
            self.store.require_answer()
            self._tell(self._runs, progress, time.monotonic() + max(TELL_SHARE * since, LEAST_SECONDS))
        except mlflow_errors() as error:
            # No warning yet: it may be back when the study ends.
            self.log.info(f"{sentence(error)}: the study goes on, and is logged at its end")
            self.store = None
        self._told = time.monotonic()

    def keep(self, findings: StudyFindings) -> LoggedStudy | None:
        """Log the study whole; where MLflow is away a warning says so, and its next run logs it.

        The last thing to do in a study's run: what fails after it leaves a failed run of a logged study.
        """
        if math.isnan(findings.trials_per_second):
            findings = replace(findings, trials_per_second=self._rate)
        pending = len(findings.result.trials) - (len(self._runs) if self._runs is not None else 0)
        if pending > MANY:
            self.log.info(f"{min(pending, MOST_CHILDREN):,} trials are being logged to MLflow")
        try:
            # Asked again: it may have come back, or gone, while the study ran.
            store = open_store(self.home)
            self.logged = log_study(store, self.study, findings)
            self.store, self.run_id = store, self.logged.run
        except mlflow_errors() as error:
            self.store, self.waits = None, sentence(error)
            self.log.warning(
                f"{self.waits}; the study {self.study.name} is kept in its own database, and its next run logs what is "
                "missing"
            )
        return self.logged

    @property
    def metadata(self) -> dict[str, Any]:
        """For Dagster: MLflow's run, and how many trials have one."""
        if self.logged is None:
            return {"mlflow_run": f"not yet, the study's next run logs it: {self.waits}" if self.waits else "none yet"}
        return {"mlflow_run": self.logged.run, "mlflow_children": self.logged.children}

    def _tell(self, runs: TrialRuns, progress: "Progress", until: float) -> None:
        room = MOST_CHILDREN - len(runs)
        fresh = runs.missing(self._settled)[: max(room, 0)]
        done = runs.log(fresh, go_on=lambda: time.monotonic() < until)
        self._settled = fresh[done:]
        counts = {"complete": progress.complete, "pruned": progress.pruned, "failed": progress.failed}
        course = [] if progress.best is None else [(sum(counts.values()), progress.best)]
        tell_state(runs, self.study.settings.objectives, counts, course)


def _log(store: Store, study: StudyToLog, findings: StudyFindings, most_children: int) -> LoggedStudy:
    run_id, experiment_id = begin_study(store, study)
    result = findings.result
    runs = TrialRuns(store, experiment_id, run_id, result.objectives)
    front = _front(result)
    chosen = _with_run(result, front, most_children)
    missing = runs.missing(chosen)
    runs.log(missing, front=front)
    if missing:
        runs.refresh()  # another machine may have been at it too
    runs.mark_front(result.trials, front)
    left = len(result.trials) - len(chosen)
    tell_state(runs, result.objectives, counts_of(result.trials), list(_course(result)))
    tell_findings(store, run_id, study, findings, left)
    log_files(runs, study, findings, front)
    store.client.set_terminated(run_id, status="FINISHED")
    return LoggedStudy(run_id, experiment_id, len(chosen), len(missing), left)


def _runs(store: Store, experiment_id: str, study: StudyToLog) -> list[Any]:
    """The study's runs, the earliest first: that one is the study's."""
    found = store.find_runs(experiment_id, study.identity)
    return sorted(found, key=lambda one: (one.info.start_time, one.info.run_id))


def _study_tags(study: StudyToLog) -> dict[str, str]:
    code = code_version()
    tags = {
        **study.tags,
        **study.identity,
        **code_tags(asdict(code)),
        SIMULATED_TAG: str(study.simulated).lower(),
        "vpoc.data_version": study.version,
        "vpoc.source": study.source,
        "mlflow.source.type": "JOB",
        "mlflow.source.name": "vpoc-pipeline",
    }
    return tags | ({"mlflow.source.git.commit": code.commit} if code.commit else {})


def _set_parameters(store: Store, run_id: str, study: StudyToLog) -> None:
    from mlflow.entities import Param

    ways = dict(zip(study.settings.objectives, study.settings.directions, strict=True))
    told: dict[str, object] = {
        "symbol": study.symbol,
        "target": study.target,
        "data_version": study.version,
        "space": study.space.fingerprint(),
        **study.settings.model_dump(mode="json", exclude={"objectives"}),
        "objectives": ", ".join(f"{way} {name}" for name, way in ways.items()),
        **study.parameters,
        **{f"space.{name}": dimension.in_words for name, dimension in study.space.items()},
    }
    names = safe_names(told)
    given = {names[name]: cut(value_text(value)) for name, value in told.items()}
    run = store.client.get_run(run_id)
    held = run.data.params
    fresh = [Param(name, value) for name, value in given.items() if name not in held]
    for part in batches(fresh, PARAMETERS_A_BATCH):
        store.client.log_batch(run_id, params=part)
    changed = [f"{name} {held[name]} to {value}" for name, value in given.items() if held.get(name, value) != value]
    if changed or CHANGED_TAG in run.data.tags:
        set_tags(store, run_id, {CHANGED_TAG: ", ".join(changed) or "nothing"})


def _front(result: "StudyResult") -> frozenset[int]:
    """Positions of the Pareto front; of a single objective none, since the best is told by itself."""
    return frozenset(trial.position for trial in result.front) if len(result.objectives) > 1 else frozenset()


def _with_run(result: "StudyResult", front: Iterable[int], most: int) -> "list[TrialRecord]":
    always = {*front, *([result.best.position] if result.complete else [])}
    return [trial for place, trial in enumerate(result.trials) if place < most or trial.position in always]


def _course(result: "StudyResult") -> "Iterator[tuple[int, TrialRecord]]":
    """How many trials were settled, and the best of them, whenever that changed, and at the end."""
    sign = 1 if result.directions[0] == "minimize" else -1
    best: TrialRecord | None = None
    least = math.inf
    for settled, trial in enumerate(result.trials, start=1):
        if trial.state != "complete":
            continue
        cost = sign * objective_values(trial, result.objectives)[result.objectives[0]]
        if best is None or cost < least:
            best, least = trial, cost
            yield settled, best
    if best is not None:
        yield len(result.trials), best
