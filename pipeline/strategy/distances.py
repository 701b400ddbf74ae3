"""Distances in whole ticks, float noise aside."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["rounded_down", "rounded_up"]

# Distances are whole ticks, means of whole ticks or shares of them: what is nearer to a whole tick is float noise.
_NOISE = 1e-6


def rounded_up(ticks: ArrayLike) -> NDArray[np.int64]:
    """Return the least whole number of ticks that is no less than each distance."""
    return np.ceil(np.asarray(ticks, np.float64) - _NOISE).astype(np.int64)


def rounded_down(ticks: ArrayLike) -> NDArray[np.int64]:
    """Return the largest whole number of ticks that is no more than each distance."""
    return np.floor(np.asarray(ticks, np.float64) + _NOISE).astype(np.int64)
