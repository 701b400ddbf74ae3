"""Timing of a call, and the row that reports it."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["best_seconds", "floors", "read_once", "read_pair_once", "row"]

_IN_NO_CACHE = 256 * 2**20  # bytes, more than the cache that one core of any usual processor reaches


def best_seconds(call: Callable[[], object], repeat: int, *, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of the fastest of ``repeat`` calls, after one that compiles and warms up.

    The fastest, because everything else a machine does can only add time. By the processor's time of this process, in
    which waiting for other programs doesn't count; for a call on several threads, give a clock on the wall.
    """
    call()
    best = float("inf")
    for _ in range(max(repeat, 1)):
        begin = clock()
        call()
        best = min(best, clock() - begin)
    return best


def row(
    engine: str,
    workload: str,
    bars: int,
    seconds: float | None,
    *,
    floor: float | None = None,
    agrees: bool | None = None,
    note: str = "",
) -> dict[str, Any]:
    """One engine on one workload.

    Parameters
    ----------
    seconds
        None where the engine was skipped.
    floor
        Seconds of reading the arrays once, for ``ratio_to_floor``.
    agrees
        Whether its results are those of the definition; None where there is nothing to compare.
    """
    return {
        "engine": engine,
        "workload": workload,
        "bars_per_second": None if seconds is None else bars / seconds,
        "ratio_to_floor": None if seconds is None or floor is None else seconds / floor,
        "agrees": None if agrees is None else bool(agrees),
        "note": note,
    }


def floors(
    workload: str, bars: int, arrays: tuple[NDArray[np.integer[Any]], ...], repeat: int, kind: str = ""
) -> tuple[float, list[dict[str, Any]]]:
    """Seconds of reading the arrays once, and the row that says so.

    Where the arrays are small enough to lie in a cache after the first call, one more row says what reading them from
    memory takes: from copies, one after the other, together larger than the cache.
    """
    read = read_pair_once if len(arrays) == 2 else read_once
    size = sum(array.nbytes for array in arrays)
    seconds = best_seconds(lambda: read(*arrays), repeat)
    label = f"floor: read the {kind}arrays once"
    rows = [row(label, workload, bars, seconds, floor=seconds, note=_speed(size, seconds))]
    copies = _IN_NO_CACHE // max(size, 1)
    if copies > 1:
        many = [tuple(array.copy() for array in arrays) for _ in range(min(copies, 4096))]
        from_memory = best_seconds(lambda: [read(*each) for each in many], min(repeat, 3)) / len(many)
        rows.append(
            row(f"{label}, from memory", workload, bars, from_memory, floor=seconds, note=_speed(size, from_memory))
        )
    return seconds, rows


def _speed(size: int, seconds: float) -> str:
    return f"{size / 2**20:,.1f} MiB at {size / seconds / 1e9:.0f} GB/s"


@njit(cache=True, nogil=True)
def read_pair_once(price, steps):  # type: ignore[no-untyped-def]
    """The floor of trades: a pass over two arrays."""
    total = np.int64(0)
    for i in range(price.size):
        total += price[i] + steps[i]
    return total


@njit(cache=True, nogil=True)
def read_once(low, high, steps):  # type: ignore[no-untyped-def]
    """The floor: a pass over three arrays that does nothing but add them up."""
    total = np.int64(0)
    for i in range(low.size):
        total += low[i] + high[i] + steps[i]
    return total
