"""The 80 % rule: a session that opens outside the prior value area and is accepted back into it crosses it."""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.search_space import Choice, Real, SearchSpace, Whole
from pipeline.strategy.distances import rounded_up
from pipeline.strategy.protocol import Strategy, StrategyParameters
from pipeline.strategy.seen import Seen
from pipeline.strategy.setups import NO_PRICE, Setups

__all__ = ["AcceptanceParameters", "EightyPercentRule"]


class AcceptanceParameters(StrategyParameters):
    """Parameters of :class:`EightyPercentRule`.

    Attributes
    ----------
    bracket_minutes
        Length of a bracket, from the open of the hours.
    brackets
        So many brackets in a row must close inside the value area.
    last_minute
        No entry is decided later, in minutes after the open.
    stop_range
        The stop lies so many average true ranges outside the edge that price came back through.
    min_reward
        The gate ``reward`` lets through setups whose target is at least so many times as far as the stop.
    """

    bracket_minutes: int = Field(default=30, ge=1, le=240)
    brackets: int = Field(default=2, ge=1, le=10)
    last_minute: int = Field(default=240, ge=1, le=1_440)
    stop_range: float = Field(default=0.1, gt=0, le=10)
    min_reward: float = Field(default=1.0, ge=0, le=20)

    @model_validator(mode="after")
    def _decides_in_time(self) -> Self:
        if self.brackets * self.bracket_minutes > self.last_minute:
            raise ValueError(
                f"{self.brackets} brackets of {self.bracket_minutes} minutes end after last_minute, {self.last_minute}"
                "; give fewer or shorter ones"
            )
        return self


class EightyPercentRule(Strategy):
    """Trades from the edge of the prior value area to its other end, once two brackets have closed inside."""

    name = "eighty_percent_rule"
    title = "80 % rule"
    description = (
        "When a session opens outside the prior value area and then trades inside it for two half-hour brackets in a "
        "row, the saying goes, it crosses the whole area eight times in ten. Here both brackets must close inside, the "
        "stricter of the readings there are. The entry is at the market after the second, the target is the other end, "
        "and the stop lies just outside the edge that price came back through. Each session has one such entry at most."
    )
    source = (
        "The Profile Reports, Dalton Capital Management (1987–1991); acceptance after an open outside of value: J. F. "
        "Dalton, E. T. Jones and R. B. Dalton, Mind over Markets (1990)"
    )
    Parameters = AcceptanceParameters
    space = SearchSpace(
        {
            "bracket_minutes": Choice([15, 30, 60]),
            "brackets": Whole(1, 3),
            "stop_range": Real(0.05, 0.5),
            "min_reward": Real(0.5, 3.0),
            "value_area_basis_points": Whole(6000, 8500, step=100),
        }
    )
    gates: ClassVar[Mapping[str, str]] = {"reward": "target far enough beside the stop"}
    gate_parameters = frozenset({"min_reward"})
    parameters: AcceptanceParameters

    def decision_minutes(self) -> tuple[int, ...]:
        """At the end of each bracket, from the first that can be the last of a row inside."""
        own = self.parameters
        return tuple(range(own.brackets * own.bracket_minutes, own.last_minute + 1, own.bracket_minutes))

    def setups(self, seen: Seen) -> Setups:
        """An entry at the market where this bracket is the first to end a row of closes inside."""
        own, today = self.parameters, seen.today
        val, vah = seen.ticks("val"), seen.ticks("vah")
        side = np.where(today.open < val, 1, -1).astype(np.int64)
        outside = today.known & ((today.open < val) | (today.open > vah))
        closes = today.closes(own.bracket_minutes, int(seen.minute or 0) // own.bracket_minutes)
        inside: NDArray[np.bool_] = (closes != NO_PRICE) & (closes >= val[:, None]) & (closes <= vah[:, None])
        accepted = np.asarray(sliding_window_view(inside, own.brackets, axis=1).all(axis=2))
        first = accepted[:, -1] & ~accepted[:, :-1].any(axis=1)
        buffer, edge, far = seen.range_ticks(own.stop_range), np.where(side > 0, val, vah), np.where(side > 0, vah, val)
        stop = edge - side * np.maximum(buffer, 1)
        reward, risk = side * (far - today.last), side * (today.last - stop)
        row = np.flatnonzero(outside & first & (buffer > 0) & (reward > 0))
        return Setups(
            row=row,
            side=side[row],
            entry=np.full(len(row), NO_PRICE, np.int64),
            stop=stop[row],
            target=far[row],
            columns={"type": np.full(len(row), "market", object)},
            gates={"reward": reward[row] >= rounded_up(own.min_reward * risk[row])},
        )
