"""Initial-balance breakout: stop entries on both sides of the first hour's range, one cancelling the other."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.search_space import Choice, Real, SearchSpace
from pipeline.strategy.distances import rounded_up
from pipeline.strategy.protocol import Strategy, StrategyParameters
from pipeline.strategy.seen import Seen
from pipeline.strategy.setups import Setups

__all__ = ["BalanceParameters", "InitialBalanceBreakout"]


class BalanceParameters(StrategyParameters):
    """Parameters of :class:`InitialBalanceBreakout`.

    Attributes
    ----------
    minutes
        Length of the initial balance from the open of the hours.
    buffer_ticks
        The entries lie so many ticks beyond its ends.
    stop_share
        Distance of the stop from the entry, as a share of the balance's height; 1 is its other end.
    target_multiple
        Distance of the target from the entry, in heights of the balance.
    narrow_share
        The gate ``narrow`` lets through balances below this share of the average true range; by default a little less
        than half of them, where there is nothing to find.
    min_ticks
        A lower balance has no setup.
    """

    minutes: int = Field(default=60, ge=1, le=600)
    buffer_ticks: int = Field(default=1, ge=1, le=1_000)
    stop_share: float = Field(default=0.5, gt=0, le=2)
    target_multiple: float = Field(default=1.0, gt=0, le=10)
    narrow_share: float = Field(default=0.35, gt=0, le=10)
    min_ticks: int = Field(default=8, ge=1, le=1_000_000)


class InitialBalanceBreakout(Strategy):
    """Trades the break of the first hour's range, up or down, whichever comes first."""

    name = "initial_balance_breakout"
    title = "Initial-balance breakout"
    description = (
        "The range of the first hour, the initial balance, is what short-term traders agree on; a break of it says "
        "that others with a longer view have come in. After the hour a buy stop rests above the range and a sell stop "
        "below it, one cancelling the other. The rules take it only when the balance is narrow beside the days before: "
        "a wide one has used up the day's range."
    )
    source = "J. F. Dalton, E. T. Jones and R. B. Dalton, Mind over Markets (1990): initial balance and range extension"
    Parameters = BalanceParameters
    space = SearchSpace(
        {
            "minutes": Choice([30, 60, 90]),
            "stop_share": Real(0.25, 1.0),
            "target_multiple": Real(0.5, 3.0),
            "narrow_share": Real(0.2, 0.8),
        }
    )
    gates: ClassVar[Mapping[str, str]] = {"narrow": "initial balance narrow beside the average range"}
    gate_parameters = frozenset({"narrow_share"})
    parameters: BalanceParameters

    def decision_minutes(self) -> tuple[int, ...]:
        """At the end of the initial balance."""
        return (self.parameters.minutes,)

    def setups(self, seen: Seen) -> Setups:
        """A buy stop above the balance and a sell stop below it, two a session or none."""
        own, today, reach = self.parameters, seen.today, seen.range_ticks(self.parameters.narrow_share)
        height = np.where(today.known, today.high - today.low, 0)
        row = np.flatnonzero((height >= own.min_ticks) & (reach > 0)).repeat(2)
        side = np.tile(np.array([1, -1], np.int64), len(row) // 2)
        entry = np.where(side > 0, today.high[row] + own.buffer_ticks, today.low[row] - own.buffer_ticks)
        return Setups(
            row=row,
            side=side,
            entry=entry,
            stop=entry - side * rounded_up(own.stop_share * height[row]),
            target=entry + side * rounded_up(own.target_multiple * height[row]),
            columns={"type": np.full(len(row), "stop", object), "group": np.full(len(row), "balance", object)},
            gates={"narrow": height[row] < reach[row]},
        )
