"""The audit of contract §4: recompute on data cut off at t, and with a later start, and compare exactly."""

from collections.abc import Callable, Iterable

import pandas as pd

from pipeline.market import Instrument, label_sessions

Build = Callable[[pd.DataFrame], pd.DataFrame]


def leaking_columns(build: Build, bars: pd.DataFrame, es: Instrument, cutoffs: Iterable[int], key: str) -> set[str]:
    """Columns of ``build(bars)`` whose rows up to some cutoff change, even in the last bit, without what comes after.

    ``key`` names the session column that says when a row is known, or is ``index``. A cutoff is a number of sessions.
    """
    full = build(bars)
    sessions = label_sessions(bars["timestamp"], es).sessions
    kept = sessions.notna()
    ordered = pd.DatetimeIndex(sessions[kept].unique())
    leaks: set[str] = set()
    for cutoff in cutoffs:
        last = ordered[cutoff - 1]
        cut = build(bars[kept & (sessions <= last)].reset_index(drop=True))
        known = full[_times(full, key) <= last]
        leaks |= _differences(known, cut)
    return leaks


def warm_up_differences(
    build: Build, bars: pd.DataFrame, es: Instrument, starts: Iterable[int], memory: int
) -> set[str]:
    """Columns that still depend on where the data starts, ``memory`` sessions after the start."""
    full = build(bars)
    sessions = label_sessions(bars["timestamp"], es).sessions
    kept = sessions.notna()
    ordered = pd.DatetimeIndex(sessions[kept].unique())
    differing: set[str] = set()
    for start in starts:
        late = build(bars[kept & (sessions >= ordered[start])].reset_index(drop=True)).iloc[memory - 1 :]
        differing |= _differences(full.loc[late.index], late)
    return differing


def _times(frame: pd.DataFrame, key: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(frame.index if key == "index" else frame[key])


def _differences(left: pd.DataFrame, right: pd.DataFrame) -> set[str]:
    if not left.index.equals(right.index) or left.columns.tolist() != right.columns.tolist():
        return {"rows"}
    return {name for name in left.columns if not left[name].equals(right[name])}
