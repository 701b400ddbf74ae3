"""Settings of a profile in one object: which bars, which rows, which value area."""

from dataclasses import dataclass, field
from typing import Self, Unpack

from pipeline.market.sessions import Hours
from pipeline.profiles.rows import Allocation, RowOptions, RowRule
from pipeline.profiles.value_area import AreaOptions, AreaRule

__all__ = ["CommonOptions", "ProfileOptions", "ProfileSettings"]


class CommonOptions(AreaOptions, total=False):
    """Options of profiles of bars and of trades alike."""

    hours: Hours
    ticks_per_row: int
    tpo_minutes: int


class ProfileOptions(CommonOptions, total=False):
    """A :class:`ProfileSettings` as keyword arguments."""

    allocation: Allocation


@dataclass(frozen=True)
class ProfileSettings:
    """Everything that the profile of given bars depends on.

    Attributes
    ----------
    hours
        Bars that make a session: ``"rth"`` or ``"eth"``.
    rows
        What its rows are.
    area
        What its value area is.

    Examples
    --------
    >>> settings = ProfileSettings.of(hours="eth", value_area_basis_points=6800)
    >>> settings.hours, settings.rows.allocation, settings.area.value_area_basis_points
    ('eth', 'uniform', 6800)
    """

    hours: Hours = "rth"
    rows: RowRule = field(default_factory=RowRule)
    area: AreaRule = field(default_factory=AreaRule)

    @classmethod
    def of(
        cls,
        *,
        hours: Hours = "rth",
        value_area_basis_points: int = 7000,
        expansion_rows: int = 2,
        **rows: Unpack[RowOptions],
    ) -> Self:
        """Take the settings from keyword arguments, as :func:`pipeline.profiles.session_profiles` explains them.

        Raises
        ------
        ConfigurationError
            For settings that are not among these.
        """
        return cls(hours, RowRule(**rows), AreaRule(value_area_basis_points, expansion_rows))

    @property
    def options(self) -> ProfileOptions:
        """The same as keyword arguments."""
        return ProfileOptions(hours=self.hours, **self.rows.options, **self.area.options)
