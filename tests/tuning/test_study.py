"""The study engine: budgets, determinism, what an interruption, a kill and several workers leave behind."""

import datetime as dt
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

import optuna
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.search_space import Choice, Real, SearchSpace, Whole
from pipeline.tuning.storage import StudyStorage, open_storage
from pipeline.tuning.study import (
    Progress,
    Report,
    StudyResult,
    StudySettings,
    TrialRecord,
    run_study,
    study_name,
)
from pipeline.tuning.workers import run_workers

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
    """Writes each call in a file of all processes; at a call by number it waits to be killed."""

    folder: Path
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
        return bowl(params, report)

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


KILLED = """
import sys
from pathlib import Path
from tests.tuning.test_study import SPACE, Logged
from pipeline.tuning.storage import open_storage
from pipeline.tuning.study import StudySettings, run_study
folder = Path(sys.argv[1])
run_study("study", SPACE, Logged(folder, kill_at=int(sys.argv[3])), StudySettings.model_validate_json(sys.argv[2]),
          open_storage(f"sqlite:///{folder / 'optuna.db'}"))
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
def database(tmp_path: Path) -> StudyStorage:
    return open_storage(f"sqlite:///{tmp_path / 'optuna.db'}")


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [("tpe", "hyperband"), ("tpe", "median"), ("cmaes", "hyperband"), ("cmaes", "none"), ("random", "median")],
)
def test_study_interrupted_and_resumed_is_the_uninterrupted_one(sampler: str, pruner: str) -> None:
    settings = StudySettings(sampler=sampler, pruner=pruner, trials=24, startup_trials=5, seed=3)
    storage, calls = StudyStorage.in_memory(), []

    def interrupted(params: dict[str, Any], report: Report) -> float:
        calls.append(params)
        if len(calls) in (3, 9, 10):
            raise KeyboardInterrupt
        if len(calls) == 18:
            with suppress(optuna.TrialPruned):
                bowl(params, lambda fold, value: report(fold, value) if fold < 2 else None)
            raise KeyboardInterrupt
        return bowl(params, report)

    runs = 1
    first = {"x": 1.5, "rate": 0.5, "depth": 3, "kind": "a"}
    whole = run_study("study", SPACE, bowl, settings, enqueue=[first])
    part = run_study("study", SPACE, interrupted, settings, storage, enqueue=[first])
    assert part.stopped == "interrupted"
    while part.stopped == "interrupted":
        part = run_study("study", SPACE, interrupted, settings, storage, enqueue=[first])
        runs += 1

    assert runs == 5
    assert part.stopped == "trials"
    assert told(part) == told(whole)
    assert whole.trials[0].params == first
    assert len(part.trials) == 24
    if pruner != "none":
        assert "pruned" in {trial.state for trial in part.trials}


def test_study_with_the_same_seed_is_the_same_and_with_another_another(database: StudyStorage) -> None:
    settings = StudySettings(trials=12, startup_trials=4)

    first = run_study("study", SPACE, bowl, settings)
    kept = run_study("study", SPACE, bowl, settings, database)
    other = run_study("study", SPACE, bowl, settings.model_copy(update={"seed": 1}))

    assert told(first) == told(kept)
    assert told(first) != told(other)
    assert kept.trials[0].params["kind"] in ("a", "b", (1, 2))


def test_study_run_on_to_a_larger_budget_is_the_one_run_at_once() -> None:
    storage = StudyStorage.in_memory()
    few, many = StudySettings(trials=7, startup_trials=4), StudySettings(trials=16, startup_trials=4)

    part = run_study("study", SPACE, bowl, few, storage)
    whole = run_study("study", SPACE, bowl, many, storage)
    again = run_study("study", SPACE, bowl, few, storage)

    assert told(whole)[:7] == told(part)
    assert told(whole) == told(run_study("study", SPACE, bowl, many))
    assert told(again) == told(whole)


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "hyperband"), ("cmaes", "median")])
def test_study_killed_in_mid_trial_continues_as_if_nothing_had_been(tmp_path: Path, sampler: str, pruner: str) -> None:
    settings = StudySettings(sampler=sampler, pruner=pruner, trials=10, startup_trials=3)
    evaluate = Logged(tmp_path)

    run_and_kill(tmp_path, settings, at=6)
    resumed = run_study("study", SPACE, evaluate, settings, open_storage(f"sqlite:///{tmp_path / 'optuna.db'}"))

    assert told(resumed) == told(run_study("study", SPACE, bowl, settings))
    assert len(evaluate.calls()) == 11
    calls = [call.split()[1] for call in evaluate.calls()]
    assert [x for x, count in Counter(calls).items() if count == 2] == [calls[6]]
    assert resumed.trials[6].number == 7


def test_trial_whose_process_died_twice_is_given_up(tmp_path: Path) -> None:
    settings = StudySettings(trials=4, startup_trials=4)
    for call in (1, 2):
        (tmp_path / "reached").unlink(missing_ok=True)
        run_and_kill(tmp_path, settings, at=call)

    resumed = run_study("study", SPACE, bowl, settings, open_storage(f"sqlite:///{tmp_path / 'optuna.db'}"))

    assert [trial.state for trial in resumed.trials] == ["complete", "failed", "complete", "complete"]
    assert resumed.trials[1].error == "its process died, 2 times"


def test_two_workers_share_a_study_with_no_trial_lost_or_doubled(tmp_path: Path, database: StudyStorage) -> None:
    evaluate, seen = Logged(tmp_path, slow=0.05), []
    settings = StudySettings(trials=14, pruner="none", startup_trials=4)

    result = run_study("study", SPACE, evaluate, settings, database, workers=2, observe=seen.append)

    assert [trial.position for trial in result.trials] == list(range(14))
    assert {trial.state for trial in result.trials} == {"complete"}
    calls = [line.split() for line in evaluate.calls()]
    assert sorted(float(x) for _, x in calls) == sorted(trial.params["x"] for trial in result.trials)
    assert len({process for process, _ in calls} - {str(os.getpid())}) == 2
    assert Counter(progress.last.position for progress in seen) == Counter(range(14))


def test_worker_killed_in_mid_trial_loses_nothing(tmp_path: Path, database: StudyStorage) -> None:
    evaluate = Logged(tmp_path, slow=0.02, kill_at=4)
    settings = StudySettings(trials=10, pruner="none", startup_trials=4)

    def kill_the_slow_one(progress: Progress) -> None:
        if (tmp_path / "reached").exists() and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(int(evaluate.calls()[4].split()[0]), signal.SIGKILL)

    result = run_study("study", SPACE, evaluate, settings, database, workers=2, observe=kill_the_slow_one)

    assert (tmp_path / "killed").exists()
    assert [trial.position for trial in result.trials] == list(range(10))
    assert {trial.state for trial in result.trials} == {"complete"}
    calls = Counter(line.split()[1] for line in evaluate.calls())
    assert sorted(calls.values()) == [1] * 9 + [2]


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


def test_worker_whose_interruption_came_to_nothing_ends_after_its_trial(tmp_path: Path, database: StudyStorage) -> None:
    settings = StudySettings(trials=8, sampler="random", pruner="none", seed=3)

    result = run_study("study", SPACE, Deaf(Logged(tmp_path)), settings, database, workers=2)

    assert len(result.complete) == 8
    calls = Counter(line.split()[0] for line in Logged(tmp_path).calls())
    assert all(count == 1 for process, count in calls.items() if process != str(os.getpid()))


class _Stopping(str):
    """Interrupts when it is sent to a process that is being started."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


def test_interruption_while_workers_are_started_is_an_interruption(database: StudyStorage) -> None:
    stopping = replace(database, url=_Stopping(database.url))

    with pytest.raises(KeyboardInterrupt):
        run_workers(print, None, stopping, 2, lambda: None)


class _Pressed(str):
    """Ctrl-C while it is sent to a process that is being started, which takes its seconds."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return str, (str(self),)


def test_ctrl_c_while_workers_are_started_is_not_lost(tmp_path: Path, database: StudyStorage) -> None:
    pressed = replace(database, url=_Pressed(database.url))
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_study("study", SPACE, Logged(tmp_path, slow=5.0), StudySettings(trials=50), pressed, workers=2)

    assert len(Logged(tmp_path).calls()) <= 1
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_trial_of_a_machine_without_signs_of_life_is_done_over(database: StudyStorage) -> None:
    calls: list[dict[str, Any]] = []

    def taken_for_dead(params: dict[str, Any], report: Report) -> float:
        calls.append(params)
        if len(calls) == 2:
            # As a process elsewhere sees it that had no sign of life of this one for long.
            optuna.load_study(study_name=name, storage=database.url).tell(1, state=optuna.trial.TrialState.FAIL)
        if len(calls) == 4:
            elsewhere = optuna.load_study(study_name=name, storage=database.url)
            trial = next(trial for trial in elsewhere.trials if trial.state.name == "RUNNING")
            owner = {**trial.user_attrs["owner"], "owner": {"host": "another", "pid": 1, "born": 0.0}}
            elsewhere._storage.set_trial_user_attr(trial._trial_id, "owner", owner)
            raise SystemExit
        return bowl(params, report)

    settings = StudySettings(trials=6, startup_trials=3)
    name = study_name("study", SPACE, settings)
    with pytest.raises(SystemExit):
        run_study("study", SPACE, taken_for_dead, settings, database)
    result = run_study("study", SPACE, bowl, settings, database)

    assert calls[1] == calls[2]
    assert told(result) == told(run_study("study", SPACE, bowl, settings))


def test_trial_of_another_machine_is_left_alone_until_its_grace_is_over(tmp_path: Path) -> None:
    url, settings = f"sqlite:///{tmp_path / 'optuna.db'}", StudySettings(trials=4, startup_trials=3)
    run_study("study", SPACE, bowl, settings.model_copy(update={"trials": 1}), open_storage(url))
    study = optuna.load_study(study_name=study_name("study", SPACE, settings), storage=url)
    owner = {"owner": {"host": "another", "pid": 1, "born": 0.0}, "token": "", "at": time.time()}
    study.enqueue_trial({}, user_attrs={"position": 1, "owner": owner})
    study.ask()

    alive = run_study("study", SPACE, bowl, settings, open_storage(url))
    assert [trial.position for trial in alive.trials] == [0, 2, 3]
    done_over = run_study("study", SPACE, bowl, settings, open_storage(url, grace=0.0))
    assert [trial.position for trial in done_over.trials] == [0, 1, 2, 3]


def test_another_space_is_another_study_and_the_old_one_is_kept(tmp_path: Path, database: StudyStorage) -> None:
    settings = StudySettings(trials=3)
    narrow = SPACE.narrowed({"x": {"low": 0}})

    old = run_study("study", SPACE, bowl, settings, database)
    new = run_study("study", narrow, bowl, settings, database)

    assert old.name != new.name
    assert all(trial.params["x"] >= 0 for trial in new.trials)
    with sqlite3.connect(tmp_path / "optuna.db") as connection:
        assert connection.execute("select count(*) from studies").fetchone() == (2,)
    assert told(run_study("study", SPACE, bowl, settings, database)) == told(old)


def test_all_trials_failed_names_the_first_error_and_keeps_the_study() -> None:
    storage, settings = StudyStorage.in_memory(), StudySettings(trials=6, startup_trials=3)

    def broken(params: dict[str, Any], report: Report) -> float:
        raise DataError("the bars of ES are gone")

    with pytest.raises(DataError, match=r"all 3 trials of the study study/log_loss/\w+ failed, the first with: the b"):
        run_study("study", SPACE, broken, settings, storage)
    with pytest.raises(DataError, match=r"all 3 trials .* the first with: ZeroDivisionError: division by zero"):
        run_study("study", SPACE, lambda params, report: 1 / 0, settings, storage)
    fixed = run_study("study", SPACE, bowl, settings, storage)

    assert Counter(trial.state for trial in fixed.trials)["failed"] == 6
    assert len(fixed.complete) + Counter(trial.state for trial in fixed.trials)["pruned"] == 6


def test_trial_that_fails_costs_one_trial_of_the_budget() -> None:
    def sometimes(params: dict[str, Any], report: Report) -> float:
        if params["x"] < -3:
            raise RuntimeError("too far")
        return math.nan if params["x"] > 4 else bowl(params, report)

    result = run_study("study", SPACE, sometimes, StudySettings(trials=30, sampler="random", pruner="none"))

    errors = Counter(trial.error for trial in result.trials)
    assert len(result.trials) == 30
    assert errors["RuntimeError: too far"] == sum(trial.params["x"] < -3 for trial in result.trials) > 0
    assert errors["log_loss is not a number"] == sum(trial.params["x"] > 4 for trial in result.trials) > 0


def test_study_without_improvement_ends_after_its_patience() -> None:
    settings = StudySettings(trials=50, patience=5, pruner="none", objectives=("net",), sampler="random")
    values = iter([1.0, 3.0, *[2.0] * 40])

    result = run_study("study", SPACE, lambda params, report: next(values), settings)

    assert result.stopped == "patience"
    assert len(result.trials) == 7
    assert result.best.position == 1


def test_study_ends_after_its_seconds_and_continues_in_the_next_run() -> None:
    storage, settings = StudyStorage.in_memory(), StudySettings(trials=4, seconds=0.05)

    def slow(params: dict[str, Any], report: Report) -> float:
        time.sleep(0.06)
        return 1.0

    first = run_study("study", SPACE, slow, settings, storage)
    assert (first.stopped, len(first.trials)) == ("seconds", 1)
    assert len(run_study("study", SPACE, slow, settings, storage).trials) == 2


def test_several_objectives_give_their_pareto_front() -> None:
    settings = StudySettings(objectives=("net", "drawdown"), trials=30, startup_trials=8)

    result = run_study("study", SPACE, lambda params, report: (params["x"], abs(params["x"] + 2)), settings)

    assert result.directions == ("maximize", "minimize")
    best = sorted(result.trials, key=lambda trial: trial.params["x"])
    assert best[-1] in result.front
    assert min(result.trials, key=lambda trial: abs(trial.params["x"] + 2)) in result.front
    assert all(trial.params["x"] >= -2.5 for trial in result.front)
    assert result.best == best[-1]


def test_progress_tells_of_each_trial_once() -> None:
    seen: list[Progress] = []
    storage = StudyStorage.in_memory()
    run_study("study", SPACE, bowl, StudySettings(trials=2), storage)

    result = run_study("study", SPACE, bowl, StudySettings(trials=6), storage, observe=seen.append)

    assert [progress.last for progress in seen] == list(result.trials[2:])
    assert [progress.here for progress in seen] == [1, 2, 3, 4]
    assert seen[-1].complete + seen[-1].pruned == 6
    assert seen[-1].best == result.best


def test_enqueued_parameters_come_first_once_and_only_within_the_space() -> None:
    storage = StudyStorage.in_memory()
    champion = {"x": 0.5, "rate": 0.25, "depth": 4, "kind": (1, 2)}
    outside = {**champion, "x": 50.0}

    first = run_study("study", SPACE, bowl, StudySettings(trials=3), storage, enqueue=[outside, champion])
    other = {**champion, "x": 0.75}
    result = run_study("study", SPACE, bowl, StudySettings(trials=6), storage, enqueue=[champion, other])

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


def test_what_can_not_run_is_refused_before_a_trial(database: StudyStorage) -> None:
    with pytest.raises(ConfigurationError, match="nothing to tune"):
        run_study("study", SearchSpace(), bowl, StudySettings())
    with pytest.raises(ConfigurationError, match="CMA-ES needs two numbers or more to search, and the space has 1"):
        run_study("study", SearchSpace({"x": Real(0, 1)}), bowl, StudySettings(sampler="cmaes"))
    with pytest.raises(ConfigurationError, match="need a storage to share"):
        run_study("study", SPACE, bowl, StudySettings(), workers=2)
    with pytest.raises(ConfigurationError, match="can't be sent to them"):
        run_study("study", SPACE, lambda params, report: 1.0, StudySettings(), database, workers=2)
    with pytest.raises(ConfigurationError, match="0 workers"):
        run_study("study", SPACE, bowl, StudySettings(), workers=0)


def test_trial_says_when_it_began_in_utc(database: StudyStorage) -> None:
    before = dt.datetime.now(tz=dt.UTC)

    trials = run_study("study", SPACE, bowl, StudySettings(trials=3), database).trials

    starts = [trial.started for trial in trials if trial.started is not None]
    assert [start.utcoffset() for start in starts] == [dt.timedelta(0)] * 3
    told_of = [before, *starts, dt.datetime.now(tz=dt.UTC)]
    assert told_of == sorted(told_of)
    assert run_study("study", SPACE, bowl, StudySettings(trials=3), database).trials == trials


def test_best_of_a_study_without_a_complete_trial_is_one_sentence() -> None:
    result = StudyResult("study", ("net",), ("maximize",), (), "seconds", 1.0)
    with pytest.raises(DataError, match="has no complete trial yet"):
        _ = result.best
    assert isinstance(result.trials, tuple)
    assert TrialRecord(0, 0, "failed", {}, None, {}, 0.0).error is None
