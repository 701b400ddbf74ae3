"""Value-area breakout: stop entries beyond the value area, in the direction in which value is moving."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.search_space import Real, SearchSpace, Whole
from pipeline.strategy.distances import rounded_up
from pipeline.strategy.protocol import Strategy, StrategyParameters
from pipeline.strategy.seen import Seen
from pipeline.strategy.setups import Setups

__all__ = ["BreakoutParameters", "ValueAreaBreakout"]


class BreakoutParameters(StrategyParameters):
    """Parameters of :class:`ValueAreaBreakout`.

    Attributes
    ----------
    buffer_ticks
        The entry lies so many ticks beyond the value area.
    stop_share
        Distance of the stop from the entry, as a share of the value area's height.
    target_multiple
        Distance of the target from the entry, in heights of the value area.
    r_squared_threshold
        The gate ``migration`` asks for a trend of the VPOCs to the side of the trade with R² above it.
    min_ticks
        A lower value area has no setup.
    """

    buffer_ticks: int = Field(default=1, ge=1, le=1_000)
    stop_share: float = Field(default=0.5, gt=0, le=2)
    target_multiple: float = Field(default=1.0, gt=0, le=10)
    r_squared_threshold: float = Field(default=0.4, ge=0, lt=1)
    min_ticks: int = Field(default=8, ge=1, le=1_000_000)


class ValueAreaBreakout(Strategy):
    """Buys above the value area while the VPOCs rise, sells below it while they fall."""

    name = "value_area_breakout"
    title = "Value-area breakout"
    description = (
        "When the busiest price moves the same way session after session, value is migrating, and trade beyond the "
        "last value area in that direction is the next step of it. A buy stop rests above VAH and a sell stop below "
        "VAL; the rules take the one that the VPOCs' trend points to, if the last value area lies beyond the one "
        "before it."
    )
    source = "J. F. Dalton, E. T. Jones and R. B. Dalton, Mind over Markets (1990): initiative trade, value migration"
    Parameters = BreakoutParameters
    space = SearchSpace(
        {
            "trend_window": Whole(5, 60),
            "r_squared_threshold": Real(0.1, 0.9),
            "stop_share": Real(0.2, 1.0),
            "target_multiple": Real(0.5, 3.0),
            "value_area_basis_points": Whole(6000, 8500, step=100),
        }
    )
    gates: ClassVar[Mapping[str, str]] = {
        "migration": "VPOCs move to the side of the trade",
        "value_moved": "value area beyond the one before",
    }
    gate_parameters = frozenset({"r_squared_threshold"})
    parameters: BreakoutParameters

    def setups(self, seen: Seen) -> Setups:
        """A buy stop above VAH and a sell stop below VAL, two a session or none."""
        own = self.parameters
        val, vah = seen.ticks("val"), seen.ticks("vah")
        height = vah - val
        row = np.flatnonzero(height >= own.min_ticks).repeat(2)
        side = np.tile(np.array([1, -1], np.int64), len(row) // 2)
        entry = np.where(side > 0, vah[row] + own.buffer_ticks, val[row] - own.buffer_ticks)
        # The value area before: of the same contract, which a known VPOC move says.
        same = ~np.isnan(seen["vpoc_move"].astype(np.float64))
        low_moved, high_moved = np.diff(val, prepend=val[:1]), np.diff(vah, prepend=vah[:1])
        moved = same[row] & (side * low_moved[row] > 0) & (side * high_moved[row] > 0)
        strong = seen["r_squared"][row] > own.r_squared_threshold
        return Setups(
            row=row,
            side=side,
            entry=entry,
            stop=entry - side * rounded_up(own.stop_share * height[row]),
            target=entry + side * rounded_up(own.target_multiple * height[row]),
            columns={"type": np.full(len(row), "stop", object)},
            gates={"migration": strong & (side * seen["slope"][row] > 0), "value_moved": moved},
        )
