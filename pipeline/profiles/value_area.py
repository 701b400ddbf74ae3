"""VPOC and value area of one profile, in integers (contract §3.4 and §3.5)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.profiles.kernels import MAX_STEPS, MICRO_LOTS, WHOLE, find_value_area

__all__ = ["ValueArea", "check_value_area_settings", "value_area"]


@dataclass(frozen=True)
class ValueArea:
    """The levels of one profile.

    Attributes
    ----------
    vpoc, val, vah
        Ticks: the one with most volume, and the two ends of the value area.
    held
        Micro-lots from ``val`` to ``vah``.
    total
        Micro-lots of the whole profile.
    """

    vpoc: int
    val: int
    vah: int
    held: int
    total: int


def value_area(
    rows: NDArray[np.int64], *, lowest: int = 0, basis_points: int = 7000, expansion_rows: int = 2
) -> ValueArea:
    """VPOC and value area of a profile.

    The VPOC is the tick with most volume, of equals the one nearest the middle of the range, of equals the
    lower. From there the value area takes, step by step, the ``expansion_rows`` ticks above or below,
    whichever hold more (equals: above; fewer where fewer are left), until
    ``held * 10000 >= basis_points * total``. With two rows this is the rule of the CBOT's market profile
    handbook; with one, that of many charting programs.

    Parameters
    ----------
    rows
        Micro-lots per tick, dense, shape (ticks,); their sum is at most 2**62.
    lowest
        The tick of ``rows[0]``.
    basis_points
        Share of the volume the area holds at least, 1 to 10000.
    expansion_rows
        Ticks taken at a time, 1 or more.

    Raises
    ------
    ConfigurationError
        For settings out of range.
    DataError
        For a profile without volume.

    Examples
    --------
    >>> import numpy as np
    >>> value_area(np.array([1, 2, 9, 4, 4, 1]), lowest=100)
    ValueArea(vpoc=102, val=102, vah=104, held=17, total=21)
    """
    check_value_area_settings(basis_points, expansion_rows)
    volumes = np.ascontiguousarray(rows, dtype=np.int64)
    if len(volumes) and volumes.min() < 0:
        raise DataError(f"a profile's volumes can't be negative, but row {int(np.argmin(volumes))} is {volumes.min()}")
    # In halves, so that the sum can't wrap before it is looked at.
    total = (int((volumes >> 32).sum()) << 32) + int((volumes & 0xFFFFFFFF).sum())
    if total > MAX_STEPS * MICRO_LOTS:
        raise DataError("a profile's volume passes 2**62 micro-lots, the most that is summed exactly; take fewer bars")
    if total <= 0:
        raise DataError("a profile without volume has no VPOC and no value area; choose bars with volume")
    vpoc, val, vah, held = find_value_area(volumes, 0, len(volumes) - 1, total, basis_points, expansion_rows)
    return ValueArea(lowest + int(vpoc), lowest + int(val), lowest + int(vah), int(held), total)


def check_value_area_settings(basis_points: int, expansion_rows: int) -> None:
    """Refuse a share outside 1 to 10000 basis points, and steps of less than one row."""
    if not _is_whole(basis_points) or not 1 <= basis_points <= WHOLE:
        raise ConfigurationError(
            f"value_area_basis_points is {basis_points!r}; it must be a whole number from 1 to {WHOLE} (7000 is 70 %)"
        )
    if not _is_whole(expansion_rows) or not 1 <= expansion_rows <= 1 << 24:
        raise ConfigurationError(f"expansion_rows is {expansion_rows!r}; it must be 1, 2 (the usual rule) or more")


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
