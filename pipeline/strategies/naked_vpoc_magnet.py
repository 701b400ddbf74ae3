"""Naked-VPOC magnet: towards the nearest VPOC of an earlier session that price has not come back to."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.search_space import Real, SearchSpace, Whole
from pipeline.strategy.distances import rounded_up
from pipeline.strategy.protocol import Strategy, StrategyParameters
from pipeline.strategy.seen import Seen
from pipeline.strategy.setups import NO_PRICE, Setups

__all__ = ["MagnetParameters", "NakedVpocMagnet"]

Ints = NDArray[np.int64]


class MagnetParameters(StrategyParameters):
    """Parameters of :class:`NakedVpocMagnet`.

    Attributes
    ----------
    min_age
        Sessions since the VPOC was made, none of which traded at it; with 1 it is that of the session before the last.
    min_range
        A VPOC nearer than so many average true ranges is no target.
    near_range
        The gate ``near`` lets through VPOCs at most so many average true ranges away.
    stop_share
        Distance of the stop, as a share of the target's, both from the close.
    """

    min_age: int = Field(default=1, ge=1, le=1_000)
    min_range: float = Field(default=0.25, gt=0, le=10)
    near_range: float = Field(default=1.0, gt=0, le=100)
    stop_share: float = Field(default=0.5, gt=0, le=2)


class NakedVpocMagnet(Strategy):
    """Enters at the open towards the nearest naked VPOC above and below."""

    name = "naked_vpoc_magnet"
    title = "Naked-VPOC magnet"
    description = (
        "A VPOC that no later session has traded at, a naked one, is said to draw price back. At the open the strategy "
        "goes towards the nearest of them on either side of the close, with it as the target and a stop of half that "
        "way; the rules take the nearer of the two, if it is near enough to be reached in a session."
    )
    source = "M. Jardine, Just a Trade a Day (2012): the virgin point of control as a price attractor"
    Parameters = MagnetParameters
    space = SearchSpace(
        {
            "min_age": Whole(1, 20),
            "min_range": Real(0.1, 0.5),
            "near_range": Real(0.5, 2.0),
            "stop_share": Real(0.25, 1.0),
        }
    )
    gates: ClassVar[Mapping[str, str]] = {
        "near": "VPOC near enough for a session",
        "nearer": "nearer than the naked VPOC on the other side",
    }
    gate_parameters = frozenset({"near_range"})
    parameters: MagnetParameters

    def setups(self, seen: Seen) -> Setups:
        """A long towards the nearest naked VPOC above the close and a short towards the nearest below it."""
        own = self.parameters
        close, least = seen.ticks("close"), seen.range_ticks(own.min_range)
        most = seen.range_ticks(own.near_range, down=True)
        above, below = _nearest(seen, least, own.min_age)
        distance = np.stack(
            [np.where(above != NO_PRICE, above - close, 0), np.where(below != NO_PRICE, close - below, 0)]
        )
        row, short = np.nonzero(distance.T)
        side = 1 - 2 * short.astype(np.int64)
        way, other = distance[short, row], distance[1 - short, row]
        return Setups(
            row=row.astype(np.int64),
            side=side,
            entry=np.full(len(row), NO_PRICE, np.int64),
            stop=close[row] - side * rounded_up(own.stop_share * way),
            target=close[row] + side * way,
            columns={"type": np.full(len(row), "market", object)},
            gates={"near": way <= most[row], "nearer": (other == 0) | (way < other)},
        )


def _nearest(seen: Seen, least: Ints, min_age: int) -> tuple[Ints, Ints]:
    """The nearest naked VPOC above and below each close, at least so far and so old; ``NO_PRICE`` where there is none.

    A VPOC is naked until a later session of its contract has traded at it, in the hours of the history. Where the
    average true range is not known yet (``least`` 0) there is none.
    """
    vpoc, close, high, low = (seen.ticks(name) for name in ("vpoc", "close", "high", "low"))
    rolled = np.isnan(seen["vpoc_move"].astype(np.float64))
    above, below = np.full(len(close), NO_PRICE), np.full(len(close), NO_PRICE)
    prices = made = np.empty(0, np.int64)
    for t in range(len(close)):
        untouched = (prices < low[t]) | (prices > high[t]) if not rolled[t] else np.zeros(len(prices), np.bool_)
        prices, made = prices[untouched], made[untouched]
        old = prices[t - made >= min_age]
        if least[t] > 0:
            above[t] = min(old[old >= close[t] + least[t]], default=NO_PRICE)
            below[t] = max(old[old <= close[t] - least[t]], default=NO_PRICE)
        prices, made = np.append(prices, vpoc[t]), np.append(made, t)
    return above, below
