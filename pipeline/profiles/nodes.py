"""High- and low-volume nodes: the peaks of a profile and the valleys between them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.profiles.kernels import WHOLE
from pipeline.profiles.rows import is_whole

__all__ = ["Nodes", "check_node_settings", "find_nodes", "smooth_rows"]

Ints = NDArray[np.int64]

_WINDOWS_PER_PROFILE = 20


@dataclass(frozen=True)
class Nodes:
    """Nodes of one profile, in rising order.

    Attributes
    ----------
    high, low
        Ticks of the high- and the low-volume nodes, int64.
    high_prominence, low_prominence
        How far each stands out, as a share of the VPOC's volume, float64.
    """

    high: Ints
    low: Ints
    high_prominence: NDArray[np.float64]
    low_prominence: NDArray[np.float64]


def smooth_rows(rows: Ints, window: int | None = None) -> tuple[Ints, int]:
    """Sum of each tick's neighbourhood: integers, so that what is equal stays equal.

    Parameters
    ----------
    rows
        Micro-lots per tick, dense, shape (ticks,).
    window
        Ticks in the neighbourhood, odd; 1 leaves the profile as it is. None takes a twentieth of the
        profile's height, so that a quiet and a wild session are seen at the same sharpness:
        ``2 * (ticks // 40) + 1``.

    Returns
    -------
    (ndarray of int64, int)
        Sums, shape (ticks,), nothing lying beyond the range; and the window taken.
    """
    half = len(rows) // (2 * _WINDOWS_PER_PROFILE) if window is None else window // 2
    sums = np.append(0, np.cumsum(rows, dtype=np.int64))
    places = np.arange(len(rows))
    return sums[np.minimum(places + half + 1, len(rows))] - sums[np.maximum(places - half, 0)], 2 * half + 1


def find_nodes(rows: Ints, *, lowest: int = 0, window: int | None = None, prominence_basis_points: int = 1000) -> Nodes:
    """High- and low-volume nodes of one profile.

    The smoothed profile's peaks are its high-volume nodes, its valleys, the peaks of the negated one, the
    low-volume nodes (``scipy.signal.find_peaks``). Beyond its ends the profile is zero: a node may lie on its
    lowest or highest tick, a valley only between two peaks. Of a level stretch the middle tick counts, of two
    middle ones the lower.

    Parameters
    ----------
    rows
        Micro-lots per tick, dense, shape (ticks,).
    lowest
        The tick of ``rows[0]``.
    window
        As in :func:`smooth_rows`.
    prominence_basis_points
        What counts as a node: it stands out by this share of the VPOC's volume, 1 to 10000. A peak's prominence is
        its height over the higher of the two valleys that part it from higher peaks; a valley's its depth below the
        lower of the two peaks that part it from lower valleys.

    Raises
    ------
    ConfigurationError
        For settings out of range.

    Examples
    --------
    >>> import numpy as np
    >>> nodes = find_nodes(np.array([1, 6, 9, 5, 2, 2, 4, 8, 3]), lowest=100)
    >>> nodes.high, nodes.low
    (array([102, 107]), array([104]))
    """
    from scipy.signal import find_peaks  # half a second to import

    check_node_settings(window, prominence_basis_points)
    profile = np.ascontiguousarray(rows, dtype=np.int64)
    if len(profile) == 0 or profile.max() <= 0:
        nothing = np.empty(0, np.int64)
        return Nodes(nothing, nothing, np.empty(0), np.empty(0))
    sums, width = smooth_rows(profile, window)
    padded = np.concatenate([[0], sums, [0]])
    whole = width * int(profile.max())
    least = float(-(-prominence_basis_points * whole // WHOLE))
    peaks, high = find_peaks(padded, prominence=least)
    valleys, low = find_peaks(-padded, prominence=least)
    return Nodes(
        high=peaks.astype(np.int64) - 1 + lowest,
        low=valleys.astype(np.int64) - 1 + lowest,
        high_prominence=high["prominences"] / whole,
        low_prominence=low["prominences"] / whole,
    )


def check_node_settings(window: int | None, prominence_basis_points: int) -> None:
    """Refuse an even or impossible window, and a prominence outside 1 to 10000 basis points."""
    if window is not None and not (is_whole(window) and 1 <= window < 1 << 24 and window % 2 == 1):
        raise ConfigurationError(
            f"node_window is {window!r}; it must be an odd number of ticks, or None (a twentieth of the profile)"
        )
    if not is_whole(prominence_basis_points) or not 1 <= prominence_basis_points <= WHOLE:
        raise ConfigurationError(
            f"node_prominence_basis_points is {prominence_basis_points!r}; it must be a whole number from 1 to {WHOLE} "
            "(1000 is a tenth of the VPOC's volume)"
        )
