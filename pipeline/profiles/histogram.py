"""Profiles from arrays in memory: bars as integer ticks and volume steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.profiles import kernels
from pipeline.profiles.refusals import raise_for
from pipeline.profiles.rows import check_ticks_per_row
from pipeline.profiles.slices import session_slices
from pipeline.profiles.value_area import AreaOptions, AreaRule

__all__ = ["LevelOptions", "SessionLevels", "checked_levels", "profile_sessions", "spread_rows"]


@dataclass(frozen=True)
class SessionLevels:
    """Levels of many sessions, each attribute int64 of shape (sessions,), in the order of ``starts``.

    Attributes
    ----------
    vpoc, val, vah, low, high
        Ticks, whatever the height of the rows; 0 where a session has no volume.
    total, held
        Micro-lots of the session and of its value area; 0 where it has no volume.
    """

    vpoc: NDArray[np.int64]
    val: NDArray[np.int64]
    vah: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    total: NDArray[np.int64]
    held: NDArray[np.int64]


class LevelOptions(AreaOptions, total=False):
    """Options of every engine as keyword arguments; :func:`profile_sessions` explains them."""

    ticks_per_row: int
    name: Callable[[int], str]


def checked_levels(
    ticks_per_row: int = 1, name: Callable[[int], str] = "session {}".format, **area: Unpack[AreaOptions]
) -> tuple[tuple[int, int, int], Callable[[int], str]]:
    """Options with their defaults, checked: what the kernel goes by, and what to call a session."""
    rule = AreaRule(**area)
    check_ticks_per_row(ticks_per_row)
    return (*rule.numbers, int(ticks_per_row)), name


def profile_sessions(
    low: NDArray[np.integer[Any]],
    high: NDArray[np.integer[Any]],
    steps: NDArray[np.integer[Any]],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64] | None = None,
    **options: Unpack[LevelOptions],
) -> SessionLevels:
    """Volume profile, VPOC and value area of every session, in one pass over the bars.

    Volume is spread evenly from ``low`` to ``high``. To put it all on the close (or on a trade's price),
    give that as both: the same array, which is faster than two.

    Parameters
    ----------
    low, high
        Ticks, shape (bars,). Three int32 arrays are used as they are; anything else as int64.
    steps
        Volume in volume steps, not negative, shape (bars,). Bars of 0 touch nothing, not even the range.
    starts, stops
        Session k is the bars ``starts[k]:stops[k]``, shape (sessions,). Without ``stops`` each session
        ends where the next begins, the last with the bars.
    **area
        As of :class:`pipeline.profiles.AreaRule`.
    ticks_per_row
        Ticks that are summed into a row, once the volume lies on them (contract §3.7).
    name
        What to call session k in an error.

    Raises
    ------
    DataError
        Naming the session: volume past 2**62 micro-lots (before anything is added) or negative, a range
        of more than 2**24 ticks, a high below its low.

    Examples
    --------
    >>> import numpy as np
    >>> low, high = np.array([100, 101, 50]), np.array([103, 102, 50])
    >>> levels = profile_sessions(low, high, steps=np.array([8, 6, 1]), starts=np.array([0, 2]))
    >>> levels.vpoc, levels.val, levels.vah
    (array([101,  50]), array([101,  50]), array([103,  50]))
    """
    settings, name = checked_levels(**options)
    bottoms, tops, volumes = _kernel_arrays(low, high, steps)
    begins, ends = session_slices(starts, stops, len(volumes))
    levels = np.empty((len(begins), 7), dtype=np.int64)
    failed, status = kernels.profile_slices(bottoms, tops, volumes, low is high, begins, ends, settings, levels)
    raise_for(status, lambda: name(int(failed)))
    return SessionLevels(*np.ascontiguousarray(levels.T))


def spread_rows(
    low: NDArray[np.integer[Any]],
    high: NDArray[np.integer[Any]],
    steps: NDArray[np.integer[Any]],
    *,
    ticks_per_row: int = 1,
) -> tuple[int, NDArray[np.int64]]:
    """One profile of all bars given.

    Parameters
    ----------
    low, high, steps, ticks_per_row
        As in :func:`profile_sessions`.

    Returns
    -------
    (int, ndarray of int64)
        The lowest row (row k holds the ticks from ``k * ticks_per_row`` on), and micro-lots per row from there to
        the highest, shape (rows,); (0, empty) where no bar has volume.

    Raises
    ------
    DataError
        As in :func:`profile_sessions`.
    """
    check_ticks_per_row(ticks_per_row)
    bottoms, tops, volumes = _kernel_arrays(low, high, steps)
    _, status = kernels.total_steps(volumes, 0, len(volumes))
    raise_for(status, lambda: "the bars given")
    lowest, highest, status = kernels.extent(bottoms, tops, volumes, 0, len(volumes))
    raise_for(status, lambda: "the bars given")
    if highest < lowest:
        return 0, np.empty(0, dtype=np.int64)
    ticks = int(highest - lowest) + 1
    rows = np.zeros(ticks + 1, dtype=np.int64)  # the last entry takes what ends above the highest tick
    kernels.spread(bottoms, tops, volumes, 0, len(volumes), lowest, rows)
    kernels.integrate(rows, 0, ticks - 1)
    if ticks_per_row == 1:
        return int(lowest), rows[:ticks].copy()
    first = int(lowest) // ticks_per_row
    begins = np.arange(first, int(highest) // ticks_per_row + 1) * ticks_per_row - lowest
    return first, np.add.reduceat(rows[:ticks], np.maximum(begins, 0))


def _kernel_arrays(*arrays: NDArray[np.integer[Any]]) -> list[NDArray[np.integer[Any]]]:
    found = [np.asarray(array) for array in arrays]
    if any(array.dtype.kind not in "iu" for array in found):
        kinds = ", ".join(str(array.dtype) for array in found)
        raise DataError(f"low, high and steps must be integers (ticks and volume steps), not {kinds}")
    if any(array.ndim != 1 or array.shape != found[0].shape for array in found):
        raise DataError(f"low, high and steps must have the same length, not {[array.shape for array in found]}")
    # Two sets of types only, each compiled once.
    kind = np.int32 if all(array.dtype == np.int32 for array in found) else np.int64
    return [np.ascontiguousarray(array, dtype=kind) for array in found]
