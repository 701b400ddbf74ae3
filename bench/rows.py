"""Rows wider than a tick, and TPO profiles, against NumPy and pandas."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.definition import equal_levels, numpy_profiles
from bench.timing import best_seconds, floors, row
from bench.workloads import Workload
from pipeline.profiles import RowRule, SessionLevels, profile_sessions, session_profiles
from pipeline.profiles.engines.threads import threaded_profiles

__all__ = ["bench_rows"]

_TICKS = 4
_WIDE = RowRule(ticks_per_row=_TICKS)
_TIME = RowRule("tpo")


def bench_rows(workload: Workload, repeat: int) -> list[dict[str, Any]]:
    """Bars a second of rows of four ticks from arrays, and of the TPO profile from a frame of whole trade dates."""
    low, high, steps, starts = workload.low, workload.high, workload.steps, workload.starts
    name, bars = f"{workload.name}, rows of {_TICKS} ticks", workload.bars
    floor, read = floors(name, bars, (low, high, steps), repeat)
    definition = [_summed(*profile) for profile in numpy_profiles(low, high, steps, starts, workload.stops)]

    def measured(
        engine: str, call: Callable[[], SessionLevels], clock: Callable[[], float] = time.process_time
    ) -> dict[str, Any]:
        agrees = _equal_rows(call(), definition, _WIDE)
        seconds = best_seconds(call, repeat, clock=clock)
        return row(engine, name, bars, seconds, floor=floor, agrees=agrees, note="profiles and value areas")

    return [
        *read,
        measured("numba, int64 arrays", lambda: profile_sessions(low, high, steps, starts, ticks_per_row=_TICKS)),
        measured(
            "threads, int64 arrays",
            lambda: threaded_profiles(low, high, steps, starts, ticks_per_row=_TICKS),
            time.perf_counter,
        ),
        _tpo(workload, repeat, floor),
    ]


def _tpo(workload: Workload, repeat: int, floor: float) -> dict[str, Any]:
    frame, instrument = workload.frame, workload.instrument

    def call() -> pd.DataFrame:
        return session_profiles(frame, instrument, hours="eth", allocation="tpo")

    found = call()
    ticks = {column: instrument.to_ticks(found[column]) for column in ("vpoc", "val", "vah", "low", "high")}
    counts = {"total": found["volume"], "held": found["value_area_volume"]}
    levels = SessionLevels(**ticks, **{key: values.to_numpy(np.int64) for key, values in counts.items()})
    session = np.repeat(np.arange(len(workload.starts)), workload.stops - workload.starts)
    # Trade dates begin on the hour, so half hours of the clock are brackets.
    bracket = pd.DatetimeIndex(frame["timestamp"]).floor(f"{_TIME.tpo_minutes}min")
    ranges = (
        pd.DataFrame({"session": session, "bracket": bracket, "low": workload.low, "high": workload.high})
        .groupby(["session", "bracket"])
        .agg({"low": "min", "high": "max"})
    )
    definition = []
    for _, own in ranges.groupby(level="session"):
        rows = np.zeros(own["high"].max() - own["low"].min() + 1, np.int64)
        for low, high in own.to_numpy() - own["low"].min():
            rows[low : high + 1] += 1
        definition.append((int(own["low"].min()), rows))
    return row(
        "session_profiles, frame to frame",
        f"{workload.name}, TPO",
        workload.bars,
        best_seconds(call, repeat),
        floor=floor,
        agrees=len(found) == len(definition) and _equal_rows(levels, definition, _TIME),
        note="with all checks",
    )


def _summed(lowest: int, ticks: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
    row_of = (lowest + np.arange(len(ticks))) // _TICKS
    rows = np.zeros(row_of[-1] - row_of[0] + 1, np.int64)
    np.add.at(rows, row_of - row_of[0], ticks)
    return int(row_of[0]), rows


def _equal_rows(levels: SessionLevels, definition: list[tuple[int, NDArray[np.int64]]], rule: RowRule) -> bool:
    placed = {"vpoc": rule.middle, "val": rule.bottom, "vah": rule.top}
    rows = {name: rule.row(getattr(levels, name)) for name in (*placed, "low", "high")}
    in_place = all(np.array_equal(getattr(levels, name), place(rows[name])) for name, place in placed.items())
    return in_place and equal_levels(replace(levels, **rows), definition)
