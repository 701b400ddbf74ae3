"""Profile shape: P, b, D or B, in integers."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.profiles.nodes import smooth_rows
from pipeline.profiles.value_area import value_area

__all__ = ["Shape", "profile_shape"]

Shape = Literal["P", "b", "D", "B"]


def profile_shape(rows: NDArray[np.int64]) -> Shape:
    """The letter a profile looks like; the first of these that holds.

    ``B``, double distribution
        Some tick parts the profile in two: smoothed (:func:`pipeline.profiles.nodes.smooth_rows`), it holds at
        most a quarter of what the fullest tick above it and the fullest below hold, and above as below lies at least a
        quarter of the volume.
    ``P``
        The VPOC lies in the upper third of the range and at least three fifths of the volume in its upper
        half: a thin tail below a bulge, as a short-covering rally leaves it.
    ``b``
        The same upside down, as long liquidation leaves it.
    ``D``
        Everything else: a bulge about the middle, the balanced day, or no bulge.

    The letters and what they mean are those of Dalton, Dalton and Jones, *Markets in Profile* (2007); the double
    distribution is the double-distribution trend day of Dalton, Jones and Dalton, *Mind over Markets* (1993).
    The books draw them; the thirds, quarters and fifths are this project's.

    Parameters
    ----------
    rows
        Micro-lots per tick, dense, shape (ticks,).

    Raises
    ------
    DataError
        For a profile without volume.

    Examples
    --------
    >>> import numpy as np
    >>> [profile_shape(np.array(rows)) for rows in ([1, 1, 1, 2, 6, 9, 5], [5, 9, 6, 2, 1, 1, 1])]
    ['P', 'b']
    >>> [profile_shape(np.array(rows)) for rows in ([1, 4, 7, 9, 6, 4, 1], [3, 8, 5, 2, 4, 9, 4])]
    ['D', 'B']
    """
    volumes = np.ascontiguousarray(rows, dtype=np.int64)
    levels = value_area(volumes)
    return shape_at(volumes, levels.vpoc, levels.total)


def shape_at(rows: NDArray[np.int64], vpoc: int, total: int) -> Shape:
    """Do as :func:`profile_shape` where the VPOC's position and the total are known."""
    if total <= 0:
        raise DataError("a profile without volume has no shape; choose bars with volume")
    if _is_double(rows, total):
        return "B"
    ticks = len(rows)
    # A tick's middle stands at (2 * vpoc + 1) / (2 * ticks) of the range.
    if 3 * (2 * vpoc + 1) >= 4 * ticks and _holds_three_fifths(rows[::-1], total):
        return "P"
    if 3 * (2 * vpoc + 1) <= 2 * ticks and _holds_three_fifths(rows, total):
        return "b"
    return "D"


def _is_double(rows: NDArray[np.int64], total: int) -> bool:
    smooth, _ = smooth_rows(rows)
    below = np.maximum.accumulate(smooth)
    above = np.maximum.accumulate(smooth[::-1])[::-1]
    valley = smooth <= np.minimum(below, above) // 4
    held_to = np.cumsum(rows)
    quarter = -(-total // 4)
    return bool((valley & (held_to - rows >= quarter) & (total - held_to >= quarter)).any())


def _holds_three_fifths(rows: NDArray[np.int64], total: int) -> bool:
    """Return True if the first half of the rows holds three fifths of the total; a middle row counts half."""
    half = len(rows) // 2
    doubled = 2 * int(rows[:half].sum()) + (int(rows[half]) if len(rows) % 2 else 0)
    return 5 * doubled >= 6 * total
