"""The study engine: budgets, determinism, what an interruption, a kill and several workers leave behind."""

import datetime as dt
import json
import math
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
import weakref
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.errors import ConfigurationError, DataError
from pipeline.search_space import Choice, Real, SearchSpace, Whole
from pipeline.tuning.search import Pruned
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.trial_store import TrialStore, open_trials
from pipeline.tuning.trials import Progress, Report, StudyResult, TrialRecord
from pipeline.tuning.workers import run_workers
from tests.tuning.studies import run

pytestmark = pytest.mark.slow

SPACE = SearchSpace(
    {"x": Real(-5, 5), "rate": Real(0.001, 1, log=True), "depth": Whole(1, 9), "kind": Choice(["a", "b", (1, 2)])}
)
PROJECT = Path(__file__).resolve().parents[2]


def bowl(params: dict[str, Any], report: Report) -> float:
    loss = (params["x"] - 1) ** 2 + abs(params["depth"] - 4) + (params["kind"] != "b") + math.log(params["rate"]) ** 2
    for fold in range(4):
        report(fold, loss + fold)
    return loss


def told(result: StudyResult) -> list[tuple[Any, ...]]:
    return [(trial.position, trial.state, trial.params, trial.values, trial.steps) for trial in result.trials]


@dataclass(frozen=True)
class Logged:
    """Writes each call in a file of all processes; at a call by number it waits to be killed.

    Each call waits until so many processes have made one.
    """

    folder: Path
    together: int = 1
    slow: float = 0.0
    kill_at: int = -1

    def __call__(self, params: dict[str, Any], report: Report) -> float:
        calls = self.calls()
        with (self.folder / "calls").open("a") as file:
            file.write(f"{os.getpid()} {params['x']!r}\n")
        if len(calls) == self.kill_at and not (self.folder / "reached").exists():
            (self.folder / "reached").touch()
            time.sleep(60)
        time.sleep(self.slow)
        deadline = time.monotonic() + 60
        while len({call.split()[0] for call in self.calls()}) < self.together and time.monotonic() < deadline:
            time.sleep(0.02)
        return bowl(params, report)

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


KILLED = """
import sys
from pathlib import Path
from tests.tuning.test_study import SPACE, Logged
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.trial_store import open_trials
from tests.tuning.studies import run
folder = Path(sys.argv[1])
run(SPACE, Logged(folder, kill_at=int(sys.argv[3])), StudySettings.model_validate_json(sys.argv[2]),
          open_trials(f"sqlite:///{folder / 'optuna.db'}"))
"""


def run_and_kill(folder: Path, settings: StudySettings, at: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), settings.model_dump_json(), str(at)], cwd=PROJECT
    )
    deadline = time.monotonic() + 120
    while not (folder / "reached").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture
def database(tmp_path: Path) -> TrialStore:
    return open_trials(f"sqlite:///{tmp_path / 'optuna.db'}")


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [("tpe", "hyperband"), ("tpe", "median"), ("cmaes", "hyperband"), ("cmaes", "none"), ("random", "median")],
)
def test_study_interrupted_and_resumed_is_the_uninterrupted_one(sampler: str, pruner: str) -> None:
    settings = StudySettings(sampler=sampler, pruner=pruner, trials=24, startup_trials=5, seed=3)
    storage, calls = TrialStore.in_memory(), []

    def interrupted(params: dict[str, Any], report: Report) -> float:
        calls.append(params)
        if len(calls) in (3, 9, 10):
            raise KeyboardInterrupt
        if len(calls) == 18:
            with suppress(Pruned):
                bowl(params, lambda fold, value: report(fold, value) if fold < 2 else None)
            raise KeyboardInterrupt
        return bowl(params, report)

    runs = 1
    first = {"x": 1.5, "rate": 0.5, "depth": 3, "kind": "a"}
    whole = run(SPACE, bowl, settings, enqueue=[first])
    part = run(SPACE, interrupted, settings, storage, enqueue=[first])
    assert part.stopped == "interrupted"
    while part.stopped == "interrupted":
        part = run(SPACE, interrupted, settings, storage, enqueue=[first])
        runs += 1

    assert runs == 5
    assert part.stopped == "trials"
    assert told(part) == told(whole)
    assert whole.trials[0].params == first
    assert len(part.trials) == 24
    if pruner != "none":
        assert "pruned" in {trial.state for trial in part.trials}


def test_study_with_the_same_seed_is_the_same_and_with_another_another(database: TrialStore) -> None:
    settings = StudySettings(trials=12, startup_trials=4)

    first = run(SPACE, bowl, settings)
    kept = run(SPACE, bowl, settings, database)
    other = run(SPACE, bowl, settings.model_copy(update={"seed": 1}))

    assert told(first) == told(kept)
    assert told(first) != told(other)
    assert kept.trials[0].params["kind"] in ("a", "b", (1, 2))


def test_study_run_on_to_a_larger_budget_is_the_one_run_at_once() -> None:
    storage = TrialStore.in_memory()
    few, many = StudySettings(trials=7, startup_trials=4), StudySettings(trials=16, startup_trials=4)

    part = run(SPACE, bowl, few, storage)
    whole = run(SPACE, bowl, many, storage)
    again = run(SPACE, bowl, few, storage)

    assert told(whole)[:7] == told(part)
    assert told(whole) == told(run(SPACE, bowl, many))
    assert told(again) == told(whole)


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "hyperband"), ("cmaes", "median")])
def test_study_killed_in_mid_trial_continues_as_if_nothing_had_been(tmp_path: Path, sampler: str, pruner: str) -> None:
    settings = StudySettings(sampler=sampler, pruner=pruner, trials=10, startup_trials=3)
    evaluate = Logged(tmp_path)

    run_and_kill(tmp_path, settings, at=6)
    resumed = run(SPACE, evaluate, settings, open_trials(f"sqlite:///{tmp_path / 'optuna.db'}"))

    assert told(resumed) == told(run(SPACE, bowl, settings))
    assert len(evaluate.calls()) == 11
    calls = [call.split()[1] for call in evaluate.calls()]
    assert [x for x, count in Counter(calls).items() if count == 2] == [calls[6]]


def test_trial_whose_process_died_twice_is_given_up(tmp_path: Path) -> None:
    settings = StudySettings(trials=4, startup_trials=4)
    for call in (1, 2):
        (tmp_path / "reached").unlink(missing_ok=True)
        run_and_kill(tmp_path, settings, at=call)

    resumed = run(SPACE, bowl, settings, open_trials(f"sqlite:///{tmp_path / 'optuna.db'}"))

    assert [trial.state for trial in resumed.trials] == ["complete", "failed", "complete", "complete"]
    assert resumed.trials[1].error == "its process died, 2 times"


def test_two_workers_share_a_study_with_no_trial_lost_or_doubled(tmp_path: Path, database: TrialStore) -> None:
    evaluate, seen = Logged(tmp_path, together=2), []
    settings = StudySettings(trials=14, pruner="none", startup_trials=4)

    result = run(SPACE, evaluate, settings, database, workers=2, observe=seen.append)

    assert [trial.position for trial in result.trials] == list(range(14))
    assert {trial.state for trial in result.trials} == {"complete"}
    calls = [line.split() for line in evaluate.calls()]
    assert sorted(float(x) for _, x in calls) == sorted(trial.params["x"] for trial in result.trials)
    assert len({process for process, _ in calls} - {str(os.getpid())}) == 2
    assert Counter(progress.last.position for progress in seen) == Counter(range(14))


def test_worker_killed_in_mid_trial_loses_nothing(tmp_path: Path, database: TrialStore) -> None:
    evaluate = Logged(tmp_path, together=2, kill_at=4)
    settings = StudySettings(trials=10, pruner="none", startup_trials=4)

    def kill_the_slow_one(progress: Progress) -> None:
        if (tmp_path / "reached").exists() and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(int(evaluate.calls()[4].split()[0]), signal.SIGKILL)

    result = run(SPACE, evaluate, settings, database, workers=2, observe=kill_the_slow_one)

    assert (tmp_path / "killed").exists()
    assert [trial.position for trial in result.trials] == list(range(10))
    assert {trial.state for trial in result.trials} == {"complete"}
    assert len(evaluate.calls()) == 11


@dataclass(frozen=True)
class Deaf:
    """In a worker an interruption that comes to nothing, for it comes in the callback of a weak reference."""

    logged: Logged

    def __call__(self, params: dict[str, Any], report: Report) -> float:
        if multiprocessing.parent_process() is not None:
            gone = set[int]()
            held = weakref.ref(gone, lambda _: os.kill(os.getpid(), signal.SIGTERM))
            del gone
            assert held() is None
        return self.logged(params, report)


def test_worker_whose_interruption_came_to_nothing_ends_after_its_trial(tmp_path: Path, database: TrialStore) -> None:
    settings = StudySettings(trials=8, sampler="random", pruner="none", seed=3)

    result = run(SPACE, Deaf(Logged(tmp_path)), settings, database, workers=2)

    assert len(result.complete) == 8
    calls = Counter(line.split()[0] for line in Logged(tmp_path).calls())
    assert all(count == 1 for process, count in calls.items() if process != str(os.getpid()))


class _Stopping(str):
    """Interrupts when it is sent to a process that is being started."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


def test_interruption_while_workers_are_started_is_an_interruption(database: TrialStore) -> None:
    stopping = replace(database, url=_Stopping(database.url))

    with pytest.raises(KeyboardInterrupt):
        run_workers(print, None, stopping, 2, lambda: None)


class _Pressed(str):
    """Ctrl-C while it is sent to a process that is being started, which takes its seconds."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return str, (str(self),)


def test_ctrl_c_while_workers_are_started_is_not_lost(tmp_path: Path, database: TrialStore) -> None:
    pressed = replace(database, url=_Pressed(database.url))
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(SPACE, Logged(tmp_path, slow=5.0), StudySettings(trials=50), pressed, workers=2)

    assert len(Logged(tmp_path).calls()) <= 1
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


ELSEWHERE = json.dumps({"host": "another", "pid": 1, "born": "0"})


def changed(store: TrialStore, statement: str, **values: Any) -> None:
    """Change the studies' tables behind a study's back."""
    with store.session() as session:
        session.once(lambda connection: connection.execute(sa.text(statement), values))


def test_trial_of_a_machine_without_signs_of_life_is_done_over(database: TrialStore) -> None:
    calls: list[dict[str, Any]] = []

    def taken_for_dead(params: dict[str, Any], report: Report) -> float:
        calls.append(params)
        if len(calls) == 2:
            # As a process elsewhere does that had no sign of life of this one for long, and that died then.
            statement = "update vpoc_trial_claims set token = 'b', beat = 0, owner = :owner"
            changed(database, statement, owner=ELSEWHERE)
        if len(calls) == 4:
            changed(database, "update vpoc_trial_claims set beat = 0, owner = :owner", owner=ELSEWHERE)
            raise SystemExit
        return bowl(params, report)

    settings = StudySettings(trials=6, startup_trials=3)
    with pytest.raises(SystemExit):
        run(SPACE, taken_for_dead, settings, database)
    result = run(SPACE, bowl, settings, database)

    assert calls[1] == calls[2]
    assert told(result) == told(run(SPACE, bowl, settings))


def test_trial_of_another_machine_is_left_alone_until_its_grace_is_over(database: TrialStore) -> None:
    settings = StudySettings(trials=4, startup_trials=3)
    name = run(SPACE, bowl, settings.model_copy(update={"trials": 1}), database).name
    statement = "insert into vpoc_trial_claims values (:study, 1, 1, 'b', :owner, :beat)"
    changed(database, statement, study=name, owner=ELSEWHERE, beat=time.time())

    alive = run(SPACE, bowl, settings, database)
    assert [trial.position for trial in alive.trials] == [0, 2, 3]
    done_over = run(SPACE, bowl, settings, replace(database, grace=0.0))
    assert [trial.position for trial in done_over.trials] == [0, 1, 2, 3]


def test_another_space_is_another_study_and_the_old_one_is_kept(tmp_path: Path, database: TrialStore) -> None:
    settings = StudySettings(trials=3)
    narrow = SPACE.narrowed({"x": {"low": 0}})

    old = run(SPACE, bowl, settings, database)
    new = run(narrow, bowl, settings, database)

    assert old.name != new.name
    assert all(trial.params["x"] >= 0 for trial in new.trials)
    with sqlite3.connect(tmp_path / "optuna.db") as connection:
        assert connection.execute("select count(*) from vpoc_studies").fetchone() == (2,)
    assert told(run(SPACE, bowl, settings, database)) == told(old)


def test_all_trials_failed_names_the_first_error_and_keeps_the_study() -> None:
    storage, settings = TrialStore.in_memory(), StudySettings(trials=6, startup_trials=3)

    def broken(params: dict[str, Any], report: Report) -> float:
        raise DataError("the bars of ES are gone")

    with pytest.raises(DataError, match=r"all 3 trials of the study \S+/log_loss/\w+ failed, the first with: the b"):
        run(SPACE, broken, settings, storage)
    with pytest.raises(DataError, match=r"all 3 trials .* the first with: ZeroDivisionError: division by zero"):
        run(SPACE, lambda params, report: 1 / 0, settings, storage)
    fixed = run(SPACE, bowl, settings, storage)

    assert Counter(trial.state for trial in fixed.trials)["failed"] == 6
    assert len(fixed.complete) + Counter(trial.state for trial in fixed.trials)["pruned"] == 6


def test_trial_that_fails_costs_one_trial_of_the_budget() -> None:
    def sometimes(params: dict[str, Any], report: Report) -> float:
        if params["x"] < -3:
            raise RuntimeError("too far")
        return math.nan if params["x"] > 4 else bowl(params, report)

    result = run(SPACE, sometimes, StudySettings(trials=30, sampler="random", pruner="none"))

    errors = Counter(trial.error for trial in result.trials)
    assert len(result.trials) == 30
    assert errors["RuntimeError: too far"] == sum(trial.params["x"] < -3 for trial in result.trials) > 0
    assert errors["log_loss is not a number"] == sum(trial.params["x"] > 4 for trial in result.trials) > 0


def test_study_without_improvement_ends_after_its_patience() -> None:
    settings = StudySettings(trials=50, patience=5, pruner="none", objectives=("net",), sampler="random")
    values = iter([1.0, 3.0, *[2.0] * 40])

    result = run(SPACE, lambda params, report: next(values), settings)

    assert result.stopped == "patience"
    assert len(result.trials) == 7
    assert result.best.position == 1


def test_study_ends_after_its_seconds_and_continues_in_the_next_run() -> None:
    storage, settings = TrialStore.in_memory(), StudySettings(trials=4, seconds=0.05)

    def slow(params: dict[str, Any], report: Report) -> float:
        time.sleep(0.06)
        return 1.0

    first = run(SPACE, slow, settings, storage)
    assert (first.stopped, len(first.trials)) == ("seconds", 1)
    assert len(run(SPACE, slow, settings, storage).trials) == 2


def test_several_objectives_give_their_pareto_front() -> None:
    settings = StudySettings(objectives=("net", "drawdown"), trials=30, startup_trials=8)

    result = run(SPACE, lambda params, report: (params["x"], abs(params["x"] + 2)), settings)

    assert result.directions == ("maximize", "minimize")
    best = sorted(result.trials, key=lambda trial: trial.params["x"])
    assert best[-1] in result.front
    assert min(result.trials, key=lambda trial: abs(trial.params["x"] + 2)) in result.front
    assert all(trial.params["x"] >= -2.5 for trial in result.front)
    assert result.best == best[-1]


def test_progress_tells_of_each_trial_once() -> None:
    seen: list[Progress] = []
    storage = TrialStore.in_memory()
    run(SPACE, bowl, StudySettings(trials=2), storage)

    result = run(SPACE, bowl, StudySettings(trials=6), storage, observe=seen.append)

    assert [progress.last for progress in seen] == list(result.trials[2:])
    assert [progress.here for progress in seen] == [1, 2, 3, 4]
    assert seen[-1].complete + seen[-1].pruned == 6
    assert seen[-1].best == result.best


def test_enqueued_parameters_come_first_once_and_only_within_the_space() -> None:
    storage = TrialStore.in_memory()
    champion = {"x": 0.5, "rate": 0.25, "depth": 4, "kind": (1, 2)}
    outside = {**champion, "x": 50.0}

    first = run(SPACE, bowl, StudySettings(trials=3), storage, enqueue=[outside, champion])
    other = {**champion, "x": 0.75}
    result = run(SPACE, bowl, StudySettings(trials=6), storage, enqueue=[champion, other])

    assert first.trials[0].params == champion
    assert result.trials[3].params == other
    assert sum(trial.params == champion for trial in result.trials) == 1


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"trials": 0}, "tuning: trials is 0"),
        ({"sampler": "grid"}, "tuning: sampler is 'grid'"),
        ({"objectives": ("profit",)}, "no objective 'profit'"),
        ({"objectives": ("net", "drawdown"), "sampler": "cmaes"}, "CMA-ES has one objective"),
    ],
)
def test_impossible_settings_are_one_sentence(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        StudySettings(**given)


def test_what_can_not_run_is_refused_before_a_trial(database: TrialStore) -> None:
    with pytest.raises(ConfigurationError, match="nothing to tune"):
        run(SearchSpace(), bowl, StudySettings())
    with pytest.raises(ConfigurationError, match="CMA-ES needs two numbers or more to search, and the space has 1"):
        run(SearchSpace({"x": Real(0, 1)}), bowl, StudySettings(sampler="cmaes"))
    with pytest.raises(ConfigurationError, match="need a storage to share"):
        run(SPACE, bowl, StudySettings(), workers=2)
    with pytest.raises(ConfigurationError, match="can't be sent to them"):
        run(SPACE, lambda params, report: 1.0, StudySettings(), database, workers=2)
    with pytest.raises(ConfigurationError, match="0 workers"):
        run(SPACE, bowl, StudySettings(), workers=0)


def test_trial_says_when_it_began_in_utc(database: TrialStore) -> None:
    before = dt.datetime.now(tz=dt.UTC)

    trials = run(SPACE, bowl, StudySettings(trials=3), database).trials

    starts = [trial.started for trial in trials if trial.started is not None]
    assert [start.utcoffset() for start in starts] == [dt.timedelta(0)] * 3
    told_of = [before, *starts, dt.datetime.now(tz=dt.UTC)]
    assert told_of == sorted(told_of)
    assert run(SPACE, bowl, StudySettings(trials=3), database).trials == trials


def test_best_of_a_study_without_a_complete_trial_is_one_sentence() -> None:
    result = StudyResult("study", ("net",), ("maximize",), (), "seconds", 1.0)
    with pytest.raises(DataError, match="has no complete trial yet"):
        _ = result.best
    assert isinstance(result.trials, tuple)
    assert TrialRecord(0, "failed", {}, None, {}, 0.0).error is None
