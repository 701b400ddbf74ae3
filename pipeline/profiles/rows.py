"""Rows of a profile: their height, and what they count, volume or time (contract §3.2, §3.7, §3.8)."""

from dataclasses import dataclass
from typing import Literal, TypedDict, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.profiles.kernels import MAX_TICKS

__all__ = ["Allocation", "RowOptions", "RowRule", "check_minutes", "check_ticks_per_row", "is_whole"]

Allocation = Literal["uniform", "close", "tpo"]

Ints = NDArray[np.int64]
_Tick = TypeVar("_Tick", int, Ints)

_MINUTE = 60_000_000_000
_MAX_MINUTES = 24 * 60


class RowOptions(TypedDict, total=False):
    """The fields of :class:`RowRule` as keyword arguments, which every function of profiles takes."""

    allocation: Allocation
    ticks_per_row: int
    tpo_minutes: int


@dataclass(frozen=True)
class RowRule:
    """Rule by which bars become the rows of a profile.

    Attributes
    ----------
    allocation
        ``"uniform"`` spreads a bar's volume over its ticks from low to high, ``"close"`` puts it on its close.
        ``"tpo"`` counts time instead of volume: in each time bracket every row from the lowest low to the highest
        high counts once (one TPO), bars without volume included.
    ticks_per_row
        Row k holds the ticks ``k * ticks_per_row`` up to the next row's first, so that the rows of all sessions and
        composites align. Volume goes to ticks first and is summed by rows then.
    tpo_minutes
        Length of a time bracket, counted from the open of the hours; also where the allocation is not ``"tpo"``, for
        what time shows: single prints, tails, poor extremes.

    Raises
    ------
    ConfigurationError
        For settings that are not among these.

    Notes
    -----
    The TPO (time price opportunity) profile is J. Peter Steidlmayer's original Market Profile (Chicago Board of
    Trade, *Market Profile* handbook, 1985), with brackets of half an hour.

    Examples
    --------
    >>> rule = RowRule(ticks_per_row=4)
    >>> rule.row(-1), rule.bottom(25), rule.middle(25), rule.top(25)
    (-1, 100, 101, 103)
    """

    allocation: Allocation = "uniform"
    ticks_per_row: int = 1
    tpo_minutes: int = 30

    def __post_init__(self) -> None:
        if self.allocation not in get_args(Allocation):
            raise ConfigurationError(
                f"allocation is {self.allocation!r}; it must be 'uniform' (volume from low to high), 'close' (all on "
                "the close) or 'tpo' (time instead of volume)"
            )
        check_ticks_per_row(self.ticks_per_row)
        check_minutes("tpo_minutes", self.tpo_minutes)

    @property
    def by_time(self) -> bool:
        """Return True if time is counted instead of volume."""
        return self.allocation == "tpo"

    @property
    def options(self) -> RowOptions:
        """The same as keyword arguments."""
        return RowOptions(allocation=self.allocation, ticks_per_row=self.ticks_per_row, tpo_minutes=self.tpo_minutes)

    def row(self, tick: _Tick) -> _Tick:
        """The row that holds a tick."""
        return tick // self.ticks_per_row

    def bottom(self, row: _Tick) -> _Tick:
        """A row's lowest tick, where a VAL lies."""
        return row * self.ticks_per_row

    def middle(self, row: _Tick) -> _Tick:
        """A row's middle tick, the lower of two, where a VPOC lies."""
        return row * self.ticks_per_row + (self.ticks_per_row - 1) // 2

    def top(self, row: _Tick) -> _Tick:
        """A row's highest tick, where a VAH lies."""
        return row * self.ticks_per_row + self.ticks_per_row - 1

    def bracket(self, instants: Ints, opens: Ints | int) -> Ints:
        """The number of the bracket that holds each instant, 0 at the open of the hours (nanoseconds)."""
        return (instants - opens) // (self.tpo_minutes * _MINUTE)


def check_ticks_per_row(ticks_per_row: int) -> None:
    """Refuse a height that is not a whole number of ticks, 1 or more."""
    if not is_whole(ticks_per_row) or not 1 <= ticks_per_row <= MAX_TICKS:
        raise ConfigurationError(
            f"ticks_per_row is {ticks_per_row!r}; it must be a whole number of ticks, 1 to {MAX_TICKS:,}"
        )


def check_minutes(name: str, minutes: int) -> None:
    """Refuse a length of time that is not a whole number of minutes within a day."""
    if not is_whole(minutes) or not 1 <= minutes <= _MAX_MINUTES:
        raise ConfigurationError(
            f"{name} is {minutes!r}; it must be a whole number of minutes from 1 to {_MAX_MINUTES}"
        )


def is_whole(value: object) -> bool:
    """Return True for an integer, which True and False are not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
