"""Trend continuation: with the VPOCs' trend beyond the last session's extreme, out by a trailing stop."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.search_space import Real, SearchSpace, Whole
from pipeline.strategy.distances import rounded_down
from pipeline.strategy.protocol import Strategy, StrategyParameters
from pipeline.strategy.seen import Seen
from pipeline.strategy.setups import NO_PRICE, Setups

__all__ = ["TrendContinuation", "TrendParameters"]


class TrendParameters(StrategyParameters):
    """Parameters of :class:`TrendContinuation`.

    Attributes
    ----------
    buffer_ticks
        The entry lies so many ticks beyond the last session's high or low.
    stop_range
        The first stop lies so many average true ranges from the entry.
    trail_range
        The stop follows the best close at so many average true ranges.
    r_squared_threshold
        The gate ``trend`` asks for a trend of the VPOCs to the side of the trade with R² above it.
    close_share
        The gate ``strong_close`` asks for a close in this share of the last session's range at the side of the trade.
    """

    buffer_ticks: int = Field(default=1, ge=1, le=1_000)
    stop_range: float = Field(default=0.5, gt=0, le=10)
    trail_range: float = Field(default=0.5, gt=0, le=10)
    r_squared_threshold: float = Field(default=0.4, ge=0, lt=1)
    close_share: float = Field(default=0.33, gt=0, le=1)


class TrendContinuation(Strategy):
    """Buys a new high in a rising market, sells a new low in a falling one, and lets the profit run."""

    name = "trend_continuation"
    title = "Trend continuation"
    description = (
        "A market that has been rising and closed near its high tends to go on when it trades above that high. A buy "
        "stop rests above the last session's high and a sell stop below its low; there is no target, the stop follows "
        "the best close, and what is left is closed with the session. The rules take the side of the VPOCs' trend "
        "after a close in the outer third of the range."
    )
    source = "P. J. Kaufman, Trading Systems and Methods (2013), on breakouts with a trailing stop"
    Parameters = TrendParameters
    space = SearchSpace(
        {
            "trend_window": Whole(5, 60),
            "r_squared_threshold": Real(0.1, 0.9),
            "stop_range": Real(0.2, 1.0),
            "trail_range": Real(0.2, 1.5),
            "close_share": Real(0.1, 0.5),
        }
    )
    gates: ClassVar[Mapping[str, str]] = {
        "trend": "VPOCs move to the side of the trade",
        "strong_close": "close near the extreme",
    }
    gate_parameters = frozenset({"r_squared_threshold", "close_share"})
    parameters: TrendParameters

    def setups(self, seen: Seen) -> Setups:
        """A buy stop above the high and a sell stop below the low, two a session or none."""
        own = self.parameters
        high, low, close = (seen.ticks(name) for name in ("high", "low", "close"))
        reach, trail = seen.range_ticks(own.stop_range), seen.range_ticks(own.trail_range)
        row = np.flatnonzero(reach > 0).repeat(2)
        side = np.tile(np.array([1, -1], np.int64), len(row) // 2)
        entry = np.where(side > 0, high[row] + own.buffer_ticks, low[row] - own.buffer_ticks)
        from_extreme = np.where(side > 0, high[row] - close[row], close[row] - low[row])
        return Setups(
            row=row,
            side=side,
            entry=entry,
            stop=entry - side * reach[row],
            target=np.full(len(row), NO_PRICE, np.int64),
            columns={"type": np.full(len(row), "stop", object), "trail_ticks": trail[row]},
            gates={
                "trend": (seen["r_squared"][row] > own.r_squared_threshold) & (side * seen["slope"][row] > 0),
                "strong_close": from_extreme <= rounded_down(own.close_share * (high - low)[row]),
            },
        )
