"""The trend's gates over every trailing window of one series, from running sums: as fast for any window.

What is summed are whole numbers, and a difference of running sums is the sum itself, to the last digit: the values are,
bit for bit, those of :func:`~pipeline.strategy.gates.trend` and :func:`~pipeline.strategy.gates.runs_p_value`.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.strategy.gates import r_squared_of, runs_test

__all__ = ["rolling_runs_p_value", "rolling_trend"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def rolling_trend(ticks: Ints, contracts: Ints, window: int) -> tuple[Floats, Floats]:
    """Slope and R² of :func:`~pipeline.strategy.gates.trend` in each window.

    Parameters
    ----------
    ticks
        VPOCs in ticks, shape (n,).
    contracts
        A number per contract, non-decreasing, shape (n,).
    window
        At most n.

    Returns
    -------
    slope, r_squared
        Shape (n − window + 1,).
    """
    start = np.arange(len(ticks) - window + 1)
    stop = start + window  # of each window, exclusive
    part = np.cumsum(np.append(0, contracts[1:] != contracts[:-1]))
    begins = np.searchsorted(part, np.arange(part[-1] + 2))  # of each contract's sessions, and the end
    place = np.arange(len(ticks))
    x, xx, y, xy, yy = (_running(each) for each in (place, place * place, ticks, place * ticks, ticks * ticks))
    first = ticks[start]
    of_xx, of_xy, of_yy = np.zeros(len(start)), np.zeros(len(start)), np.zeros(len(start))
    for number in range(int((part[stop - 1] - part[start]).max()) + 1):
        own = np.minimum(part[start] + number, part[-1] + 1)
        a = np.minimum(np.maximum(start, begins[own]), stop)
        b = np.maximum(np.minimum(stop, begins[np.minimum(own + 1, part[-1] + 1)]), a)
        count = b - a
        # From the window's first session and its VPOC, as small numbers.
        sum_x, sum_y = x[b] - x[a] - count * start, y[b] - y[a] - count * first
        sum_xx = xx[b] - xx[a] - 2 * start * (x[b] - x[a]) + count * start * start
        sum_yy = yy[b] - yy[a] - 2 * first * (y[b] - y[a]) + count * first * first
        sum_xy = xy[b] - xy[a] - start * (y[b] - y[a]) - first * (x[b] - x[a]) + count * start * first
        n = np.maximum(count, 1)
        of_xx += (n * sum_xx - sum_x * sum_x) / n
        of_xy += (n * sum_xy - sum_x * sum_y) / n
        of_yy += (n * sum_yy - sum_y * sum_y) / n
    return r_squared_of(of_xx, of_xy, of_yy)


def rolling_runs_p_value(moves: Floats, window: int) -> Floats:
    """Probabilities of :func:`~pipeline.strategy.gates.runs_p_value` in each window.

    Parameters
    ----------
    moves
        Shape (n,); zero and missing ones are left out.
    window
        At most n.

    Returns
    -------
    Array of shape (n − window + 1,).
    """
    signs = np.sign(np.nan_to_num(moves, nan=0.0)).astype(np.int64)
    moved = np.flatnonzero(signs)
    turns = np.zeros(len(signs), np.int64)  # where a run begins, if the run before is in the window
    turns[moved[1:]] = signs[moved[1:]] != signs[moved[:-1]]
    ups, downs, turned = _running(signs > 0), _running(signs < 0), _running(turns)
    start = np.arange(len(signs) - window + 1)
    stop = start + window
    following = np.append(moved, len(signs))[np.searchsorted(moved, start)]  # the window's first move
    inside = following < stop
    runs = np.where(inside, turned[stop] - turned[np.minimum(following + 1, stop)] + 1, 0)
    return runs_test(ups[stop] - ups[start], downs[stop] - downs[start], runs)


def _running(values: NDArray[np.generic]) -> Ints:
    """Sums of what lies before each position, and of all."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])
