"""The gates of contract §5, each a function of windows: one row a decision, newest session last.

The real history and the random walks behind the null pass rates go through these same functions.
A value is worked out from its own window alone, so where a history starts or ends can't change it, not
even in the last bit; VPOCs are compared in whole ticks.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import erfc

__all__ = [
    "direction_probability",
    "is_calm",
    "longest_run",
    "r_squared_of",
    "runs_p_value",
    "runs_test",
    "trailing_windows",
    "trend",
    "window_deviation",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Share of a window's returns that must be known for its standard deviation: 4 of 5, 15 of 20.
MIN_KNOWN_SHARE = 0.75

# R² and confidence are rounded to these, so that a value at its threshold is at it and not beside it.
_DECIMALS = 10


def trailing_windows(values: Floats, length: int) -> Floats:
    """The last ``length`` values up to each position, missing (NaN) where there are none yet.

    Parameters
    ----------
    values
        Shape (n,).

    Returns
    -------
    Array of shape (n, length), a read-only view; row t ends with ``values[t]``.
    """
    padded = np.concatenate([np.full(length, np.nan), values])
    return sliding_window_view(padded, length)[1:]


def trend(vpoc_ticks: Ints, contracts: Ints | None = None) -> tuple[Floats, Floats]:
    """Least squares of the VPOCs on their index within each window.

    Where a window spans a roll, every contract has its own intercept and all share one slope (the within
    regression of panel data), so that the step between two contracts never looks like a trend. With
    one contract that is the ordinary regression. A contract with a single session adds nothing.

    Parameters
    ----------
    vpoc_ticks
        VPOCs in ticks, shape (m, window).
    contracts
        A number per contract, non-decreasing along each window, same shape; without it all are one contract.

    Returns
    -------
    slope
        Ticks a session, shape (m,).
    r_squared
        Share of the variation within contracts that the slope explains, shape (m,); 0 where there is none.
    """
    rows, window = vpoc_ticks.shape
    # Small integers: sums of products stay exact, whatever the price level.
    y = vpoc_ticks - vpoc_ticks[:, :1]
    x = np.broadcast_to(np.arange(window), y.shape)
    ordinal = np.zeros(y.shape, np.int64)
    if contracts is not None:
        ordinal[:, 1:] = np.cumsum(contracts[:, 1:] != contracts[:, :-1], axis=1)
    xx, xy, yy = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    for number in range(int(ordinal.max(initial=0)) + 1):
        held = ordinal == number
        n = np.maximum(held.sum(axis=1), 1)
        own_x, own_y = np.where(held, x, 0), np.where(held, y, 0)
        sum_x, sum_y = own_x.sum(axis=1), own_y.sum(axis=1)
        xx += (n * (own_x * own_x).sum(axis=1) - sum_x * sum_x) / n
        xy += (n * (own_x * own_y).sum(axis=1) - sum_x * sum_y) / n
        yy += (n * (own_y * own_y).sum(axis=1) - sum_y * sum_y) / n
    return r_squared_of(xx, xy, yy)


def r_squared_of(xx: Floats, xy: Floats, yy: Floats) -> tuple[Floats, Floats]:
    """Slope and R² from the sums of squares and products within contracts, shape (m,) each."""
    slope = np.divide(xy, xx, out=np.zeros(len(xx)), where=xx > 0)
    r_squared = np.divide(xy * xy, xx * yy, out=np.zeros(len(xx)), where=(xx > 0) & (yy > 0))
    return slope, r_squared.round(_DECIMALS)


def _signs(moves: Floats) -> NDArray[np.int8]:
    return np.sign(np.nan_to_num(moves, nan=0.0)).astype(np.int8)


def runs_p_value(moves: Floats) -> Floats:
    """Two-sided Wald–Wolfowitz runs test on the signs of the moves in each window.

    Zero and missing moves are left out. Normal approximation without continuity correction (Wald and
    Wolfowitz 1940; ``statsmodels`` ``runstest_1samp(correction=False)``). Where all moves have one sign, or fewer
    than two are left, the test has nothing to say: 1.

    Parameters
    ----------
    moves
        Shape (m, window).

    Returns
    -------
    Probabilities, shape (m,).
    """
    signs = _signs(moves)
    ups, downs = (signs > 0).sum(axis=1), (signs < 0).sum(axis=1)
    runs = np.zeros(len(signs), np.int64)
    last = np.zeros(len(signs), np.int8)
    for sign in signs.T:
        runs += (sign != 0) & (sign != last)
        last = np.where(sign != 0, sign, last)
    return runs_test(ups, downs, runs)


def runs_test(ups: Ints, downs: Ints, runs: Ints) -> Floats:
    """Two-sided probability of so many runs among so many moves up and down, shape (m,) each."""
    count = ups + downs
    pairs = 2.0 * ups * downs
    mean = pairs / np.maximum(count, 1) + 1
    variance = (mean - 1) * (mean - 2) / np.maximum(count - 1, 1)
    known = (ups > 0) & (downs > 0) & (variance > 0)
    z = np.divide(np.abs(runs - mean), np.sqrt(np.where(known, variance, 1.0)), out=np.zeros(len(runs)), where=known)
    return np.where(known, erfc(z / np.sqrt(2.0)), 1.0)


def longest_run(moves: Floats) -> Ints:
    """Most moves of one sign in a row in each window, zero and missing moves left out.

    Parameters
    ----------
    moves
        Shape (m, window).

    Returns
    -------
    Counts, shape (m,); 0 where no move is left.
    """
    signs = _signs(moves)
    longest = np.zeros(len(signs), np.int64)
    current = np.zeros(len(signs), np.int64)
    last = np.zeros(len(signs), np.int8)
    for sign in signs.T:
        moved = sign != 0
        current = np.where(moved, np.where(sign == last, current + 1, 1), current)
        last = np.where(moved, sign, last)
        np.maximum(longest, current, out=longest)
    return longest


def direction_probability(moves: Floats) -> Floats:
    """Probability that the next nonzero VPOC move is up, given the sign of the last one.

    Posterior mean under a uniform prior, Beta(1, 1): ``(1 + ups) / (2 + ups + downs)``, where ups and downs are the
    moves in the window that followed a move of the same sign as the newest. Zero moves are left out.
    A missing move (across a roll) breaks the chain: the move after it follows no known move, and where it
    is the newest there is nothing to go by, which leaves the prior's 0.5.

    Parameters
    ----------
    moves
        VPOC moves of the sessions to t, newest last, shape (m, window).

    Returns
    -------
    Probabilities of an up move, shape (m,).
    """
    rows = len(moves)
    signs = _signs(moves)
    missing = np.isnan(moves)
    last = np.zeros(rows, np.int8)
    # Followers of an up move and of a down move, and how many of them were up.
    followers = {1: np.zeros(rows, np.int64), -1: np.zeros(rows, np.int64)}
    ups = {1: np.zeros(rows, np.int64), -1: np.zeros(rows, np.int64)}
    for sign, gone in zip(signs.T, missing.T, strict=True):
        moved = sign != 0
        for before in (1, -1):
            followed = moved & (last == before)
            followers[before] += followed
            ups[before] += followed & (sign > 0)
        last = np.where(moved, sign, np.where(gone, np.int8(0), last))
    up_count = np.select([last > 0, last < 0], [ups[1], ups[-1]], 0)
    count = np.select([last > 0, last < 0], [followers[1], followers[-1]], 0)
    return (1 + up_count) / (2 + count)


def window_deviation(returns: Floats) -> Floats:
    """Standard deviation (ddof = 1) of the known returns in each window.

    Missing where less than three quarters of the window is known (4 of 5, 15 of 20).

    Parameters
    ----------
    returns
        Log returns, shape (m, window).

    Returns
    -------
    Shape (m,).
    """
    window = returns.shape[1]
    known = ~np.isnan(returns)
    count = known.sum(axis=1)
    enough = (count >= MIN_KNOWN_SHARE * window) & (count > 1)
    # Contiguous copies, so that a row is always added up in the same order.
    values = np.ascontiguousarray(np.where(known, returns, 0.0))
    mean = values.sum(axis=1) / np.maximum(count, 1)
    deviations = np.where(known, values - mean[:, None], 0.0)
    variance = np.square(deviations).sum(axis=1) / np.maximum(count - 1, 1)
    return np.where(enough, np.sqrt(variance), np.nan)


def is_calm(short: Floats, long: Floats) -> Bools:
    """Return True where the short standard deviation is below the long one; False where either is missing."""
    return short < long
