"""Settings of profiles and session history in one frozen, validated object."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline.frozen_settings import FrozenSettings
from pipeline.market import Hours, Instrument
from pipeline.profiles import AreaRule, ProfileSettings
from pipeline.profiles.rows import Allocation, RowRule

__all__ = ["HistorySettings"]


class HistorySettings(FrozenSettings):
    """Settings of profiles and of the session history, which every strategy of a symbol sees alike.

    Attributes
    ----------
    hours
        Bars that make a session: ``rth`` or ``eth``.
    allocation, value_area_basis_points, expansion_rows
        How the profile is made (contract §3): of volume, or with ``tpo`` of time.
    ticks_per_row
        Height of the profile's rows; None for the instrument's own (``instruments.yaml``).
    tpo_minutes
        Length of a time bracket.
    trend_window
        Sessions in the regression of the VPOCs and, less one, moves in the runs test.
    direction_window
        Sessions whose VPOC moves are counted for the direction probability.
    calm_short, calm_long
        Sessions of the two standard deviations of log returns.
    atr_window
        Sessions in the average true range.

    Raises
    ------
    ConfigurationError
        For an unknown name or an impossible value: names setting, value and what is allowed.
    """

    called: ClassVar[str] = "history setting"

    hours: Hours = "rth"
    allocation: Allocation = "uniform"
    ticks_per_row: int | None = Field(default=None, ge=1, le=1 << 24)
    tpo_minutes: int = Field(default=30, ge=1, le=24 * 60)
    value_area_basis_points: int = Field(default=7000, gt=0, le=10_000)
    expansion_rows: Literal[1, 2] = 2
    trend_window: int = Field(default=20, ge=3, le=1000)
    direction_window: int = Field(default=252, ge=2, le=10_000)
    calm_short: int = Field(default=5, ge=2, le=1000)
    calm_long: int = Field(default=20, ge=3, le=1000)
    atr_window: int = Field(default=14, ge=1, le=1000)

    @model_validator(mode="after")
    def _calm_windows_differ(self) -> Self:
        if self.calm_short >= self.calm_long:
            raise ValueError(
                f"history setting calm_short is {self.calm_short}; it must be below calm_long, {self.calm_long}"
            )
        return self

    def row_rule(self, instrument: Instrument) -> RowRule:
        """Return how the rows of this instrument's profiles are built."""
        return RowRule(self.allocation, self.ticks_per_row or instrument.ticks_per_row, self.tpo_minutes)

    def profile(self, instrument: Instrument) -> ProfileSettings:
        """Return how this instrument's profiles are made."""
        area = AreaRule(self.value_area_basis_points, self.expansion_rows)
        return ProfileSettings(self.hours, self.row_rule(instrument), area)

    @property
    def atr_column(self) -> str:
        """Name of the average true range in the session history, ``atr_14`` by default."""
        return f"atr_{self.atr_window}"

    @property
    def volatility_columns(self) -> tuple[str, str]:
        """Names of the two standard deviations in the history, ``volatility_5`` and ``volatility_20`` by default."""
        return f"volatility_{self.calm_short}", f"volatility_{self.calm_long}"

    @property
    def memory(self) -> int:
        """Sessions, the current one included, that a value of the history can depend on (253 by default).

        True ranges, VPOC moves and returns each look one session further back than their window.
        """
        return max(self.trend_window, self.direction_window + 1, self.calm_long + 1, self.atr_window + 1)
