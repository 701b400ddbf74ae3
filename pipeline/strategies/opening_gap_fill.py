"""Opening-gap fill: against a gap between the last close and today's open, back to that close."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.search_space import Choice, Real, SearchSpace
from pipeline.strategy.distances import rounded_up
from pipeline.strategy.protocol import Strategy, StrategyParameters
from pipeline.strategy.seen import Seen
from pipeline.strategy.setups import NO_PRICE, Setups

__all__ = ["GapParameters", "OpeningGapFill"]


class GapParameters(StrategyParameters):
    """Parameters of :class:`OpeningGapFill`.

    Attributes
    ----------
    minutes
        After the open of the hours; the bars until then must be complete.
    min_range
        A gap of fewer average true ranges is none.
    small_range
        The gate ``small`` lets through gaps of at most so many average true ranges.
    stop_share
        Distance of the stop from the last price, as a share of the way that is left to the close.
    """

    minutes: int = Field(default=5, ge=1, le=240)
    min_range: float = Field(default=0.1, gt=0, le=10)
    small_range: float = Field(default=0.5, gt=0, le=10)
    stop_share: float = Field(default=1.0, gt=0, le=5)


class OpeningGapFill(Strategy):
    """Fades the opening gap, out at the last close."""

    name = "opening_gap_fill"
    title = "Opening-gap fill"
    description = (
        "A session that opens away from the last close often trades back to it, the more often the smaller the gap. "
        "Some minutes after the open the strategy enters at the market against a gap that is still open, with the last "
        "close as its target and a stop as far away. The rules take small gaps that open within the last session's "
        "range, where nothing new has been accepted yet."
    )
    source = "S. Andrews, Understanding Gaps (2008); J. F. Carter, Mastering the Trade (2005): opening gaps"
    Parameters = GapParameters
    space = SearchSpace(
        {
            "minutes": Choice([5, 15, 30]),
            "min_range": Real(0.05, 0.3),
            "small_range": Real(0.2, 1.5),
            "stop_share": Real(0.5, 2.0),
        }
    )
    gates: ClassVar[Mapping[str, str]] = {
        "small": "gap small beside the average range",
        "within_range": "opens within the last session's range",
    }
    gate_parameters = frozenset({"small_range"})
    parameters: GapParameters

    def decision_minutes(self) -> tuple[int, ...]:
        """Some minutes after the open."""
        return (self.parameters.minutes,)

    def setups(self, seen: Seen) -> Setups:
        """One entry at the market against the gap, or none."""
        own, today = self.parameters, seen.today
        close, low, high = (seen.ticks(name) for name in ("close", "low", "high"))
        least, most = seen.range_ticks(own.min_range), seen.range_ticks(own.small_range, down=True)
        gap = np.where(today.known, today.open - close, 0)
        side = -np.sign(gap).astype(np.int64)
        left = side * (close - today.last)  # the way from the last price back to the close
        filled = np.where(side > 0, today.high >= close, today.low <= close)
        row = np.flatnonzero((least > 0) & (np.abs(gap) >= least) & ~filled & (left > 0))
        size = np.abs(gap[row])
        return Setups(
            row=row,
            side=side[row],
            entry=np.full(len(row), NO_PRICE, np.int64),
            stop=today.last[row] - side[row] * rounded_up(own.stop_share * left[row]),
            target=close[row],
            columns={"type": np.full(len(row), "market", object)},
            gates={
                "small": size <= most[row],
                "within_range": (today.open[row] >= low[row]) & (today.open[row] <= high[row]),
            },
        )
