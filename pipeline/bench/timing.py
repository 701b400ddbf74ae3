"""How long a call takes, and the row that says so."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

__all__ = ["best_seconds", "read_once", "row"]


def best_seconds(call: Callable[[], object], repeat: int) -> float:
    """Seconds of the fastest of ``repeat`` calls, after one that compiles and warms up.

    The fastest, because everything else a machine does can only add time.
    """
    call()
    best = float("inf")
    for _ in range(max(repeat, 1)):
        begin = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begin)
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


@njit(cache=True, nogil=True)
def read_once(low, high, steps):  # type: ignore[no-untyped-def]
    """The floor: a pass over three arrays that does nothing but add them up."""
    total = np.int64(0)
    for i in range(low.size):
        total += low[i] + high[i] + steps[i]
    return total
