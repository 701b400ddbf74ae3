"""A study's trials in MLflow: a child run each, written in three requests, and never twice.

MLflow has no request that writes several runs. What a trial costs are its transactions: the run with its tags, the
parameters, the metrics, the end. Each waits for the disk, or for a server's answer; a server is asked by several
threads, SQLite has one writer.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from resources.mlflow_limits import (
    METRICS_A_BATCH,
    PARAMETERS_A_BATCH,
    batches,
    cut,
    cut_tag,
    milliseconds,
    pages,
    safe_name,
    safe_names,
    value_text,
)
from resources.mlflow_store import FAILURE_TAG, Store
from resources.model_registry import KIND_TAG

if TYPE_CHECKING:
    from pipeline.tuning.trials import TrialRecord

__all__ = ["FRONT_TAG", "PARENT_TAG", "TRIAL_TAG", "TrialRuns", "objective_values"]

TRIAL = "trial"
PARENT_TAG = "mlflow.parentRunId"
TRIAL_TAG = "vpoc.trial"
STATE_TAG = "vpoc.state"
FRONT_TAG = "vpoc.front"
# A study that was begun anew, its database gone, has the same positions and other parameters.
PARAMETERS_TAG = "vpoc.parameters_hash"
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
REPORTED = "reported"
REQUESTS_AT_ONCE = 8
PAGE = 1000
# A run that has not been written to its end for so long never will be.
GIVEN_UP = timedelta(days=1)
# One request holds both.
METRICS_BESIDE_PARAMETERS = METRICS_A_BATCH - PARAMETERS_A_BATCH

Key = tuple[int, str]


@dataclass
class _Held:
    """A run that is there: whether it was written to its end, and bears the front's tag."""

    run: str
    whole: bool
    front: bool


@dataclass
class TrialRuns:
    """The child runs of a study's parent run.

    Attributes
    ----------
    store, experiment_id, parent
        Where they are.
    objectives
        Names of the trials' values.
    """

    store: Store
    experiment_id: str
    parent: str
    objectives: Sequence[str]

    def __post_init__(self) -> None:
        self._held: dict[Key, _Held] = {}
        self.refresh()

    def __len__(self) -> int:
        return len(self._held)

    def refresh(self) -> None:
        """Look which trials are there; of two runs of one trial, which two machines made at once, one is removed."""
        filter_string = f"tags.`{PARENT_TAG}` = '{self.parent}'"
        search = self.store.client.search_runs
        found = list(pages(search, experiment_ids=[self.experiment_id], filter_string=filter_string, max_results=PAGE))
        self._held = {}
        given_up = milliseconds(datetime.now(tz=UTC) - GIVEN_UP)
        # Every machine keeps the same one: a whole one, and the first by name of those.
        for run in sorted(found, key=lambda one: (one.info.status == "RUNNING", one.info.run_id)):
            tags = run.data.tags
            if not tags.get(TRIAL_TAG, "").isdigit():
                continue
            held = _Held(run.info.run_id, run.info.status != "RUNNING", FRONT_TAG in tags)
            if self._held.setdefault((int(tags[TRIAL_TAG]), tags.get(PARAMETERS_TAG, "")), held) is held:
                continue
            # What another machine is writing at this moment is not taken from it.
            if held.whole or run.info.start_time < given_up:
                self.store.client.delete_run(held.run)

    def missing(self, trials: Iterable["TrialRecord"]) -> list["TrialRecord"]:
        """Those that have no run, or one that was not written to its end."""
        return [trial for trial in trials if not ((held := self._held.get(_key(trial))) and held.whole)]

    def run_of(self, trial: "TrialRecord") -> str | None:
        """Identifier of a trial's run; None where it has none."""
        held = self._held.get(_key(trial))
        return None if held is None else held.run

    def log(
        self,
        trials: Sequence["TrialRecord"],
        *,
        front: Iterable[int] = (),
        go_on: Callable[[], bool] = lambda: True,
    ) -> int:
        """Log trials in order, as long as ``go_on`` says so; how many were logged.

        Raises
        ------
        MlflowException, OSError, SQLAlchemyError
            Where the store is away or refuses: what was logged stays, and one that was not whole is made so by
            the next call for it.
        """
        shown = frozenset(front)
        if not self.store.is_server:
            done = 0
            for trial in trials:
                if not go_on():
                    break
                self._log_one(trial, trial.position in shown)
                done += 1
            return done
        done = 0
        with ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="mlflow trials") as pool:
            # Few at a time, so that a server that goes away is told of by a few.
            for part in batches(trials, 2 * REQUESTS_AT_ONCE):
                if not go_on():
                    break
                asked = [pool.submit(self._log_one, trial, trial.position in shown) for trial in part]
                _, waiting = wait(asked, return_when=FIRST_EXCEPTION)
                for one in waiting:
                    one.cancel()
                for one in asked:
                    if not one.cancelled():
                        one.result()
                done += len(part)
        return done

    def mark_front(self, trials: Iterable["TrialRecord"], front: Iterable[int]) -> None:
        """Let just the trials of the front, given by position, bear the tag that says so."""
        shown = frozenset(front)
        for trial in trials:
            held = self._held.get(_key(trial))
            if held is None or held.front is (trial.position in shown):
                continue
            if held.front:
                self.store.client.delete_tag(held.run, FRONT_TAG)
            else:
                self.store.client.set_tag(held.run, FRONT_TAG, "true")
            held.front = not held.front

    def _log_one(self, trial: "TrialRecord", front: bool) -> None:
        from mlflow.entities import Metric, Param

        client = self.store.client
        held = self._held.get(_key(trial))
        if held is None:
            tags = _tags(trial, self.objectives) | {PARENT_TAG: self.parent} | ({FRONT_TAG: "true"} if front else {})
            start = None if trial.started is None else milliseconds(trial.started)
            name = f"trial {trial.position}"
            made = client.create_run(self.experiment_id, start_time=start, run_name=name, tags=tags)
            held = self._held[_key(trial)] = _Held(made.info.run_id, whole=False, front=front)
        when = milliseconds(trial.finished)
        metrics = [Metric(name, value, when, step) for name, value, step in _figures(trial, self.objectives)]
        names = safe_names(trial.params)
        params = [Param(names[name], cut(value_text(value))) for name, value in trial.params.items()]
        first, rest = metrics[:METRICS_BESIDE_PARAMETERS], metrics[METRICS_BESIDE_PARAMETERS:]
        if params or first:
            client.log_batch(held.run, params=params[:PARAMETERS_A_BATCH], metrics=first)
        for part in batches(params[PARAMETERS_A_BATCH:], PARAMETERS_A_BATCH):
            client.log_batch(held.run, params=part)
        for part in batches(rest, METRICS_A_BATCH):
            client.log_batch(held.run, metrics=part)
        client.set_terminated(held.run, status=STATUS[trial.state], end_time=when)
        held.whole = True


def objective_values(trial: "TrialRecord", objectives: Sequence[str]) -> dict[str, float]:
    """A complete trial's values by objective; none of another, for what a pruned one reported is of its first folds."""
    return dict(zip(objectives, trial.values or (), strict=True)) if trial.state == "complete" else {}


def _key(trial: "TrialRecord") -> Key:
    return trial.position, _digest(trial.params)


def _digest(params: Mapping[str, Any]) -> str:
    text = json.dumps(dict(params), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tags(trial: "TrialRecord", objectives: Sequence[str]) -> dict[str, str]:
    tags = {
        KIND_TAG: TRIAL,
        TRIAL_TAG: str(trial.position),
        STATE_TAG: trial.state,
        PARAMETERS_TAG: _digest(trial.params),
    }
    if trial.error is not None:
        tags[FAILURE_TAG] = cut_tag(" ".join(trial.error.split()))
    # A metric has to be finite; that it is not is worth knowing all the same.
    values = objective_values(trial, objectives).items()
    return tags | {f"value.{safe_name(name)}": str(value) for name, value in values if not math.isfinite(value)}


def _figures(trial: "TrialRecord", objectives: Sequence[str]) -> list[tuple[str, float, int]]:
    """Metrics by name, value and step: the objectives' of a complete trial, and what was reported on the way."""
    found = [(REPORTED, value, step) for step, value in sorted(trial.steps.items())]
    found += [(safe_name(name), value, 0) for name, value in objective_values(trial, objectives).items()]
    return [(name, float(value), int(step)) for name, value, step in found if math.isfinite(value)]
