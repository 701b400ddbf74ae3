"""VPOC and value area of one profile, in integers (contract §3.4 and §3.5)."""

from dataclasses import dataclass, replace
from typing import Any, Self, TypedDict

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.profiles.kernels import MAX_STEPS, MICRO_LOTS, WHOLE, find_value_area
from pipeline.profiles.rows import RowRule, is_whole

__all__ = ["AreaOptions", "AreaRule", "ValueArea", "exact_sum", "value_area"]


class AreaOptions(TypedDict, total=False):
    """The fields of :class:`AreaRule` as keyword arguments."""

    value_area_basis_points: int
    expansion_rows: int


@dataclass(frozen=True)
class AreaRule:
    """Rule by which the value area grows from the VPOC.

    Attributes
    ----------
    value_area_basis_points
        Share of the volume the area holds at least, 1 to 10000.
    expansion_rows
        Rows taken at a time, 1 or more.

    Raises
    ------
    ConfigurationError
        For settings out of range.
    """

    value_area_basis_points: int = 7000
    expansion_rows: int = 2

    def __post_init__(self) -> None:
        share, rows = self.value_area_basis_points, self.expansion_rows
        if not is_whole(share) or not 1 <= share <= WHOLE:
            raise ConfigurationError(
                f"value_area_basis_points is {share!r}; it must be a whole number from 1 to {WHOLE} (7000 is 70 %)"
            )
        if not is_whole(rows) or not 1 <= rows <= 1 << 24:
            raise ConfigurationError(f"expansion_rows is {rows!r}; it must be 1, 2 (the usual rule) or more")

    @property
    def options(self) -> AreaOptions:
        """The same as keyword arguments."""
        return AreaOptions(value_area_basis_points=self.value_area_basis_points, expansion_rows=self.expansion_rows)

    @property
    def numbers(self) -> tuple[int, int]:
        """The same as compiled code takes it."""
        return int(self.value_area_basis_points), int(self.expansion_rows)


_USUAL = AreaRule()


@dataclass(frozen=True)
class ValueArea:
    """The levels of one profile.

    Attributes
    ----------
    vpoc, val, vah
        Rows: the one with most volume, and the two ends of the value area. A row is a tick, unless rows are wider.
    held
        Micro-lots (or TPOs) from ``val`` to ``vah``.
    total
        Micro-lots (or TPOs) of the whole profile.
    """

    vpoc: int
    val: int
    vah: int
    held: int
    total: int

    def in_ticks(self, rule: RowRule) -> Self:
        """The same with rows as ticks: the VPOC its row's middle, VAL and VAH the ends of theirs (contract §3.7)."""
        return replace(self, vpoc=rule.middle(self.vpoc), val=rule.bottom(self.val), vah=rule.top(self.vah))


def value_area(rows: NDArray[Any], rule: AreaRule = _USUAL, *, lowest: int = 0) -> ValueArea:
    """VPOC and value area of a profile.

    The VPOC is the row with most volume, of equals the one nearest the middle of the range, of equals the
    lower. From there the value area takes, step by step, the ``expansion_rows`` rows above or below,
    whichever hold more (equals: above; fewer where fewer are left), until
    ``held * 10000 >= basis_points * total``. With two rows this is the rule of the CBOT's market profile
    handbook; with one, that of many charting programs.

    Parameters
    ----------
    rows
        Micro-lots (or TPOs) per row, dense, shape (rows,): int64, or Python integers where they are larger. Beyond
        a sum of 2**62 the rule is followed in Python integers, slower and as exact.
    rule
        Share and steps of the value area; the contract's by default.
    lowest
        The number of ``rows[0]``; of rows one tick high, the tick.

    Raises
    ------
    DataError
        For a profile without volume.

    Examples
    --------
    >>> import numpy as np
    >>> value_area(np.array([1, 2, 9, 4, 4, 1]), lowest=100)
    ValueArea(vpoc=102, val=102, vah=104, held=17, total=21)
    """
    volumes = np.ascontiguousarray(rows, dtype=None if np.asarray(rows).dtype == object else np.int64)
    if len(volumes) and volumes.min() < 0:
        raise DataError(f"a profile's volumes can't be negative, but row {int(np.argmin(volumes))} is {volumes.min()}")
    total = exact_sum(volumes)
    if total <= 0:
        raise DataError("a profile without volume has no VPOC and no value area; choose bars with volume")
    if total > MAX_STEPS * MICRO_LOTS:
        found = _beyond_64_bits([int(volume) for volume in volumes], total, *rule.numbers)
    else:
        narrow = volumes.astype(np.int64)
        found = find_value_area(narrow, *rule.numbers)
    vpoc, val, vah, held = (int(value) for value in found)
    return ValueArea(lowest + vpoc, lowest + val, lowest + vah, held, total)


def exact_sum(values: NDArray[Any]) -> int:
    """Sum of integers that are not negative, however large: it never wraps."""
    if values.dtype == object:
        return sum(map(int, values))
    # In halves, each of which would take 2**31 values to wrap.
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def _beyond_64_bits(rows: list[int], total: int, basis_points: int, expansion_rows: int) -> tuple[int, int, int, int]:
    """Do as ``kernels.find_value_area`` does on all rows, in Python integers."""
    most, last = max(rows), len(rows) - 1
    vpoc = min((k for k, volume in enumerate(rows) if volume == most), key=lambda k: (abs(2 * k - last), k))
    val = vah = vpoc
    held = most
    while held * WHOLE < basis_points * total:
        up, down = min(vah + expansion_rows, last), max(val - expansion_rows, 0)
        above = sum(rows[vah + 1 : up + 1]) if up > vah else -1
        below = sum(rows[down:val]) if down < val else -1
        if above >= below:
            vah, held = up, held + above
        else:
            val, held = down, held + below
    return vpoc, val, vah, held
