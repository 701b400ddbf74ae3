"""Profiles on several threads: the compiled kernel on runs of sessions, each thread with its own scratch memory.

The kernel holds no lock of the interpreter, and a session is worked on by one thread alone, so the bits are those of
one thread.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from pipeline.hardware import processors
from pipeline.profiles.histogram import LevelOptions, SessionLevels, checked_levels, profile_sessions
from pipeline.profiles.slices import session_slices, split_evenly

__all__ = ["threaded_profiles"]

_RUNS_A_THREAD = 4  # so that a thread that is held up leaves its share to the others


def threaded_profiles(
    low: NDArray[np.integer[Any]],
    high: NDArray[np.integer[Any]],
    steps: NDArray[np.integer[Any]],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64] | None = None,
    *,
    threads: int | None = None,
    **options: Unpack[LevelOptions],
) -> SessionLevels:
    """Volume profile, VPOC and value area of every session, on several threads.

    Parameters
    ----------
    low, high, steps, starts, stops, **options
        As in :func:`pipeline.profiles.profile_sessions`.
    threads
        How many; by default one for each processor.

    Raises
    ------
    DataError
        As :func:`pipeline.profiles.profile_sessions`, for the first session that is refused.
    """
    _, name = checked_levels(**options)
    many = threads or processors()
    bottoms, tops, volumes = _once(low, high, steps)
    if high is low:
        tops = bottoms  # which tells the kernel that every bar has one price
    begins, ends = session_slices(starts, stops, len(volumes))
    runs = split_evenly(ends - begins, many * _RUNS_A_THREAD)

    def work(run: slice) -> SessionLevels:
        own: LevelOptions = {**options, "name": lambda k: name(run.start + k)}
        return profile_sessions(bottoms, tops, volumes, begins[run], ends[run], **own)

    if len(runs) < 2:
        return work(slice(0, len(begins)))
    with ThreadPoolExecutor(many) as pool:
        # In the order of the sessions, so that of several that are refused the first is named.
        parts = list(pool.map(work, runs))
    return SessionLevels(
        *(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(SessionLevels))
    )


def _once(*arrays: NDArray[np.integer[Any]]) -> list[NDArray[np.integer[Any]]]:
    """The arrays as the kernel takes them, so that it needn't copy them for every run; bad ones are left to it."""
    found = [np.asarray(array) for array in arrays]
    if any(array.dtype.kind not in "iu" for array in found):
        return found
    kind = np.int32 if all(array.dtype == np.int32 for array in found) else np.int64
    return [np.ascontiguousarray(array, dtype=kind) for array in found]
