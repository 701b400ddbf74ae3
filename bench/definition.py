"""Reference for the engines: profiles by NumPy, VPOC and value area exactly as the contract words them."""

import numpy as np
from numpy.typing import NDArray

from pipeline.profiles import MICRO_LOTS, SessionLevels

__all__ = ["equal_levels", "numpy_point_profiles", "numpy_profiles"]

_WALKED = 200  # sessions whose value area is walked in plain Python for comparison


def numpy_profiles(
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    steps: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
) -> list[tuple[int, NDArray[np.int64]]]:
    """Every session's profile by a difference array: bincount of whole numbers in floats, exact below 2**53."""
    profiles = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        bottom, top = low[start:stop], high[start:stop]
        micro = steps[start:stop] * MICRO_LOTS
        lowest = int(bottom.min())
        size = int(top.max()) - lowest + 2
        each, rest = np.divmod(micro, top - bottom + 1)
        first = bottom - lowest
        change = np.bincount(first, each + 1, size)
        change -= np.bincount(first + rest, minlength=size)
        change -= np.bincount(top - lowest + 1, each, size)
        profiles.append((lowest, np.cumsum(change)[:-1].astype(np.int64)))
    return profiles


def numpy_point_profiles(
    price: NDArray[np.int64], steps: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> list[tuple[int, NDArray[np.int64]]]:
    """Every session's profile of volumes at one price each, by bincount in floats, exact below 2**53."""
    profiles = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        lowest = int(price[start:stop].min())
        volumes = np.bincount(price[start:stop] - lowest, steps[start:stop])
        profiles.append((lowest, volumes.astype(np.int64) * MICRO_LOTS))
    return profiles


def equal_levels(levels: SessionLevels, definition: list[tuple[int, NDArray[np.int64]]]) -> bool:
    """Return True if the levels match the profiles: VPOC and range of all, the value area of the first ones."""
    for k, (lowest, rows) in enumerate(definition):
        most = np.flatnonzero(rows == rows.max())
        distance = np.abs(2 * most - (len(rows) - 1))
        vpoc = int(most[distance.argmin()])
        if (levels.low[k], levels.high[k], levels.vpoc[k], levels.total[k]) != (
            lowest,
            lowest + len(rows) - 1,
            lowest + vpoc,
            rows.sum(),
        ):
            return False
        if k < _WALKED and (levels.val[k], levels.vah[k], levels.held[k]) != _walk(lowest, rows.tolist(), vpoc):
            return False
    return True


def _walk(lowest: int, rows: list[int], vpoc: int) -> tuple[int, int, int]:
    """The value area in plain Python, two rows at a time."""
    val = vah = vpoc
    held, total = rows[vpoc], sum(rows)
    while held * 10_000 < 7_000 * total:
        above, below = rows[vah + 1 : vah + 3], rows[max(val - 2, 0) : val]
        if above and (not below or sum(above) >= sum(below)):
            held, vah = held + sum(above), vah + len(above)
        else:
            held, val = held + sum(below), val - len(below)
    return lowest + val, lowest + vah, held
