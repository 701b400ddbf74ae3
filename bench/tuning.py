# ruff: noqa: PD011 (the values of trials, not of frames)
"""Tuning: trials per second of the strategy and of LightGBM, beside loops that start from the data at each trial."""

import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from bench.training import made_table
from pipeline.errors import ConfigurationError
from pipeline.learning.models import TrainingRows
from pipeline.learning.splits import CombinatorialPurged
from pipeline.market import load_instruments, simulate_market
from pipeline.research import RULES, run_research
from pipeline.search_space import Choice, Real, SearchSpace, Whole
from pipeline.settings import Settings
from pipeline.strategy import find_strategy
from pipeline.tuning.model_target import ModelTarget
from pipeline.tuning.objectives import Judged
from pipeline.tuning.request import StudyRequest
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.strategy_target import StrategyTarget, by_section
from pipeline.tuning.study import run_study
from pipeline.tuning.subject import Subject
from pipeline.tuning.trial_store import open_trials
from pipeline.tuning.trials import Report

__all__ = ["bench_tuning"]

Params = dict[str, Any]
_LEAST = 1e-15
_SPACE = find_strategy("value_area_fade").space
_SUBJECT = Subject("ES", "bench", "made", pd.Timestamp("1990-01-01"), pd.Timestamp("2050-01-01"), 100_000.0)


@dataclass(frozen=True)
class _Timed:
    """Trials that were run, and what each of them gave."""

    trials: int
    wall: float
    processor: float
    values: list[Any]
    pruned: int = 0


def bench_tuning(
    *,
    sessions: int = 2_520,
    trials: int = 200,
    naive_trials: int = 10,
    rows: int = 5_000,
    columns: int = 210,
    model_trials: int = 10,
    study_trials: int | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Trials a second, each checked for giving to the bit what the naive loop gives, and only then timed.

    Parameters
    ----------
    sessions
        Of simulated five-minute ES bars; 2,520 are ten years.
    trials
        Of the strategy; every one changes all its parameters, so most change the profile.
    naive_trials
        Of them that the loop of ``run_research`` goes through too.
    rows, columns
        Of the table LightGBM learns from, made.
    model_trials
        Of LightGBM; the naive loop goes through a third of them.
    study_trials
        Of each of LightGBM's studies; four times ``model_trials`` by default, for a worker's first trial makes bins.
    seed
        Of bars, table and parameters.

    The last rows are of trials that take no time, in each way to keep them.

    Returns
    -------
    list of dict
        A row an engine and workload: ``engine``, ``workload``, ``trials_per_second``, ``milliseconds`` a trial of wall
        clock and ``processor_milliseconds`` of processor time, ``times_naive`` (how many times the naive loop's trials
        by the wall clock), ``agrees`` (None where there is nothing to compare), ``note``.
    """
    if sessions < 60 or min(naive_trials, model_trials, columns) < 1 or trials < naive_trials or rows < 200:
        raise ConfigurationError(
            f"sessions is {sessions}, trials {trials}, naive_trials {naive_trials}, rows {rows}, columns {columns} and "
            f"model_trials {model_trials}; give 60 sessions, 200 rows and 1 of the others or more, and no more "
            "naive_trials than trials"
        )
    return [
        *_strategy(sessions, trials, naive_trials, seed),
        *_model(rows, columns, model_trials, study_trials or 4 * model_trials, seed),
        *_keeping(trials, seed),
    ]


def _strategy(sessions: int, trials: int, naive_trials: int, seed: int) -> list[dict[str, Any]]:
    instrument = load_instruments()["ES"]
    bars = simulate_market(instrument, "2011-01-03", sessions, seed)
    name = f"strategy: 5-minute ES, simulated, {sessions:,} sessions, {len(bars):,} bars"
    begin = time.perf_counter()
    target = StrategyTarget(bars, instrument)
    prepared = time.perf_counter() - begin
    points = _points(target.space, trials, seed)

    def naive(point: Params) -> tuple[bytes, bytes]:
        result = run_research(bars, instrument, _settings(point)).results[RULES]
        return result.trades["pnl"].to_numpy(np.float64).tobytes(), result.daily_returns.to_numpy().tobytes()

    def ours(point: Params) -> tuple[bytes, bytes]:
        outcome = target.outcome(point)
        return outcome.pnl.tobytes(), outcome.daily_returns.to_numpy().tobytes()

    naive(points[0])  # compiles
    plain = _time(naive, points[:naive_trials])
    agrees = [ours(point) for point in points[:naive_trials]] == plain.values
    fresh = StrategyTarget(bars, instrument)
    first = _time(fresh, points)
    again = _time(fresh, points)
    kept = [{**point, "hours": "rth", "value_area_basis_points": 7000} for point in points]
    same_profile = _time(fresh, kept)
    found = [
        _row("loop of run_research", name, plain, plain, note="both backtests, as run_research makes them"),
        _row(
            "strategy target, nothing kept yet",
            name,
            first,
            plain,
            agrees=agrees,
            note=f"all parameters change; {prepared:.2f} s before the first trial",
        ),
        _row("strategy target, the same trials again", name, again, plain, agrees=again.values == first.values),
        _row("strategy target, the profile unchanged", name, same_profile, plain, note="hours and value area fixed"),
    ]
    checked = StrategyTarget(bars, instrument)
    for sampler, workers, note in (
        ("random", 1, "suggested, judged and kept in SQLite; nothing known yet"),
        ("tpe", 1, ""),
        ("tpe", 2, "their start is not counted, their first trials are, which load compiled code"),
    ):
        timed = _study(StrategyTarget(bars, instrument), sampler, "none", trials, seed, workers)
        found.append(_row(_words(sampler, workers), name, timed, plain, agrees=_same(timed, checked), note=note))
    return found


def _model(rows: int, columns: int, trials: int, study_trials: int, seed: int) -> list[dict[str, Any]]:
    made = made_table(rows, columns, seed)
    splitter = CombinatorialPurged(5, 1)
    name = f"LightGBM: {rows:,} candidates × {columns} features, 5 folds"
    begin = time.perf_counter()
    target = ModelTarget(made, StudyRequest("lightgbm", splitter=splitter, seed=seed))
    prepared = time.perf_counter() - begin
    points = _points(target.space, trials, seed)
    compared = points[: math.ceil(trials / 3)]

    def naive(point: Params) -> float:
        return _cross_validated(target, made, splitter, point)

    naive(points[0])
    plain = _time(naive, compared)
    first = _time(target, points)
    found = [
        _row(
            "loop of fits", name, plain, plain, note=f"folds, transforms and bins at each trial; {len(compared)} trials"
        ),
        _row(
            "model target",
            name,
            first,
            plain,
            agrees=first.values[: len(compared)] == plain.values,
            note=f"{prepared:.2f} s before the first trial",
        ),
    ]
    for sampler, pruner in (("random", "none"), ("tpe", "median")):
        for workers in (1, 2):
            timed = _study(target, sampler, pruner, study_trials, seed, workers)
            agrees = _same(timed, naive, len(compared))
            note = "not pruned" if pruner == "none" else f"median pruner: {timed.pruned} of {timed.trials} pruned"
            found.append(_row(_words(sampler, workers), name, timed, plain, agrees=agrees, note=note))
    return found


def _keeping(trials: int, seed: int) -> list[dict[str, Any]]:
    """Trials that are suggested at random, kept and not judged: here, and in Optuna's own storages."""
    name = f"keeping: {trials} trials of {len(_SPACE)} parameters, nothing judged"
    with tempfile.TemporaryDirectory() as folder:
        storages: dict[str, Callable[[], BaseStorage]] = {
            "Optuna, in memory": InMemoryStorage,
            "Optuna, JournalStorage": lambda: JournalStorage(JournalFileBackend(f"{folder}/journal")),
            "Optuna, RDBStorage on SQLite": lambda: RDBStorage(f"sqlite:///{folder}/optuna.db"),
        }
        timed = {engine: _time(_optuna_study(make(), seed), range(trials)) for engine, make in storages.items()}
    timed["a study, in SQLite"] = _study(_Summed(), "random", "none", trials, seed, 1)
    plain = timed["Optuna, in memory"]
    return [_row(engine, name, each, plain) for engine, each in timed.items()]


def _optuna_study(storage: BaseStorage, seed: int) -> Callable[[Any], float]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed))

    def one(_: Any) -> float:
        trial = study.ask()
        value = _sum(_SPACE.suggest(trial))
        study.tell(trial, value)
        return value

    return one


class _Summed:
    """A target that takes no time."""

    space = _SPACE
    objectives = ("net",)

    def judge(self, params: Mapping[str, Any], report: Report) -> Judged:
        return Judged((_sum(params),))


def _sum(params: Mapping[str, Any]) -> float:
    return math.fsum(value for value in params.values() if isinstance(value, float))


def _cross_validated(target: ModelTarget, rows: TrainingRows, splitter: CombinatorialPurged, point: Params) -> float:
    """Log loss of the folds together, as anyone would write it."""
    losses, weights = [], []
    for train, test in splitter.split(rows.outcome):
        held = rows.take(test)
        score = target.model(point).fit(rows.take(train)).predict_proba(held.features)
        losses.append(np.log(np.maximum(np.where(held.label == 1, score, 1 - score), _LEAST)))
        weights.append(held.weight)
    return float(-np.average(np.concatenate(losses), weights=np.concatenate(weights)))


def _settings(point: Params) -> Settings:
    sections = by_section(point)
    found: dict[str, Any] = {"strategy": sections["strategy"], "account": sections["account"]}
    return Settings(**found)


def _points(space: SearchSpace, count: int, seed: int) -> list[Params]:
    rng = np.random.default_rng(seed)
    return [{name: _drawn(dimension, rng) for name, dimension in space.items()} for _ in range(count)]


def _drawn(dimension: Real | Whole | Choice, rng: np.random.Generator) -> Any:
    if isinstance(dimension, Choice):
        return dimension.options[rng.integers(len(dimension.options))]
    if isinstance(dimension, Whole):
        return (
            int(rng.integers(0, (dimension.high - dimension.low) // dimension.step + 1)) * dimension.step
            + dimension.low
        )
    low, high = dimension.low, dimension.high
    return float(np.exp(rng.uniform(np.log(low), np.log(high))) if dimension.log else rng.uniform(low, high))


def _time(judge: Callable[[Any], Any], points: Sequence[Any]) -> _Timed:
    processor, wall = time.process_time(), time.perf_counter()
    values = [judge(point) for point in points]
    return _Timed(len(points), time.perf_counter() - wall, time.process_time() - processor, values)


@dataclass(frozen=True)
class _Clocked:
    """A target that notes when each of its trials began and ended, in a file of all processes."""

    target: StrategyTarget | ModelTarget | _Summed
    file: Path

    @property
    def space(self) -> SearchSpace:
        return self.target.space

    def judge(self, params: Mapping[str, Any], report: Report) -> Judged:
        begun = time.perf_counter(), time.process_time()
        try:
            return self.target.judge(params, report)
        finally:
            row = [os.getpid(), *begun, time.perf_counter(), time.process_time()]
            with self.file.open("a") as file:
                file.write(" ".join(map(repr, row)) + "\n")


def _study(
    target: StrategyTarget | ModelTarget | _Summed, sampler: str, pruner: str, trials: int, seed: int, workers: int
) -> _Timed:
    """A study in an SQLite file, from the beginning of its first trial to the end of its last.

    The clock is the machine's, of all processes; each one's processor time counts from its own first trial, with what
    it takes to suggest and to keep the others.
    """
    search: dict[str, Any] = {"sampler": sampler, "pruner": pruner}
    settings = StudySettings(objectives=target.objectives, trials=trials, seed=seed, **search)
    with tempfile.TemporaryDirectory() as folder:
        clocked = _Clocked(target, Path(folder) / "clock")
        result = run_study(_SUBJECT, clocked, settings, open_trials(f"sqlite:///{folder}/optuna.db"), workers=workers)
        times = np.loadtxt(clocked.file, ndmin=2)
    processor = sum(times[own, 4].max() - times[own, 2].min() for own in times[:, 0] == np.unique(times[:, 0])[:, None])
    values = [(trial.params, trial.values) for trial in result.complete]
    pruned = sum(trial.state == "pruned" for trial in result.trials)
    return _Timed(len(result.trials), float(times[:, 3].max() - times[:, 1].min()), float(processor), values, pruned)


def _same(timed: _Timed, judge: Callable[[Params], Any], most: int | None = None) -> bool:
    """Return True if a study's trials have, to the bit, the values that a judge gives their parameters."""
    return all(values == tuple(np.atleast_1d(judge(params))) for params, values in timed.values[:most])


def _words(sampler: str, workers: int) -> str:
    return f"study, {sampler}, {workers} worker{'s' * (workers > 1)}"


def _row(
    engine: str, workload: str, timed: _Timed, naive: _Timed, *, agrees: bool | None = None, note: str = ""
) -> dict[str, Any]:
    rate = timed.trials / timed.wall
    return {
        "engine": engine,
        "workload": workload,
        "trials_per_second": rate,
        "milliseconds": 1e3 * timed.wall / timed.trials,
        "processor_milliseconds": 1e3 * timed.processor / timed.trials,
        "times_naive": rate * naive.wall / naive.trials,
        "agrees": agrees,
        "note": note,
    }
