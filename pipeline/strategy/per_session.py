"""Strategies written for one session at a time: one method from what was known of the day to orders in prices."""

import datetime as dt
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market import Instrument
from pipeline.plugins import fault_of
from pipeline.strategy.order_columns import MOST_TICKS, NUMBERS, TIME_COLUMNS, TYPES
from pipeline.strategy.protocol import Strategy
from pipeline.strategy.seen import Seen
from pipeline.strategy.setups import NO_PRICE, Setups

__all__ = ["Order", "SessionStrategy", "SessionView"]

_NO_BARS = pd.DataFrame(
    {
        "timestamp": pd.DatetimeIndex([], tz="UTC").as_unit("ns"),
        **{name: np.empty(0) for name in ("open", "high", "low", "close", "volume")},
    }
)
# Whole numbers up to here are exact as floats.
_MOST = 1 << 53
_NUMBERS = tuple(name for name in NUMBERS if name != "quantity")
_YEARS = range(1900, 2201)


@dataclass(frozen=True)
class SessionView:
    """What is known of one session when a strategy decides on it, and nothing later.

    Attributes
    ----------
    session
        The coming one, which the orders are for.
    minute
        Of the decision, after the open of the session's hours; None before it.
    history
        One row per session that was over (:func:`~pipeline.strategy.session_history`), the newest last.
    today
        The coming session's bars that were complete at the decision, as clean bars; none before it opens.
    instrument
        What trades.
    """

    session: pd.Timestamp
    minute: int | None
    history: pd.DataFrame
    today: pd.DataFrame
    instrument: Instrument


@dataclass(frozen=True)
class Order:
    """An order for the coming session (contract §6a), in prices on the tick.

    Attributes
    ----------
    side
        +1 long, −1 short.
    stop
        Price at which a losing position is closed; every order has one.
    entry
        Price; None enters at the market.
    target
        Price; None leaves the position to its stop, a managed exit or the close.
    type
        ``limit``, ``stop`` or ``market``; by default a limit order where there is an entry, a market order where not.
    trail_ticks, breakeven_ticks, give_back_percent, give_back_from_ticks, max_bars
        Managed exits; None for none.
    live_from, live_until
        Times with a zone between which it may enter; None for the decision, or the open, and the entry cut-off.
    group
        Orders of one name in one session cancel each other.
    gates
        What each gate that the strategy declares says of it, by name; numbers beside them are shown and decide nothing.
    taken
        Whether the rules trade it; None where all gates together say so.
    """

    side: int
    stop: float
    entry: float | None = None
    target: float | None = None
    type: str | None = None
    trail_ticks: int | None = None
    breakeven_ticks: int | None = None
    give_back_percent: float | None = None
    give_back_from_ticks: int | None = None
    max_bars: int | None = None
    live_from: dt.datetime | None = None
    live_until: dt.datetime | None = None
    group: str | None = None
    gates: Mapping[str, bool | float] = field(default_factory=dict)
    taken: bool | None = None


class SessionStrategy(Strategy):
    """A strategy whose rules are written for one session at a time; slower than rules on all sessions at once."""

    @abstractmethod
    def orders(self, day: SessionView) -> Iterable[Order]:
        """Return the orders for a session, those that the gates turn away too, in the order to look at them.

        It is called once for each session and decision time, also for sessions that lie long ago.
        """

    def setups(self, seen: Seen) -> Setups:
        """Every session's orders, as of :class:`~pipeline.strategy.Strategy`.

        Raises
        ------
        DataError
            For an order that can't be, or an error in :meth:`orders`: names strategy, session, and value or line.
        """
        rows: list[int] = []
        given: list[Order] = []
        for row in range(len(seen)) if seen.minute is None else np.flatnonzero(seen.today.known).tolist():
            orders = self._orders_of(seen, row)
            rows += [row] * len(orders)
            given += orders
        return _Orders(self, seen, rows, given).setups()

    def _orders_of(self, seen: Seen, row: int) -> list[Order]:
        day = SessionView(
            session=seen.upcoming[row],
            minute=seen.minute,
            history=seen.history.iloc[: row + 1],
            today=_NO_BARS.copy(deep=False) if seen.minute is None else seen.today.frame(row),
            instrument=seen.instrument,
        )
        place = f"strategy {self.name}, session {day.session.date()}"
        try:
            given = self.orders(day)
            orders = list(given) if isinstance(given, Iterable) else None
        except (Exception, SystemExit) as error:
            raise DataError(f"{place}: {fault_of(type(self), error).sentence}") from error
        if orders is None:
            raise DataError(f"{place}: orders gives {given!r}; give a list of Orders, an empty one for none")
        if strange := [order for order in orders if not isinstance(order, Order)]:
            raise DataError(f"{place}: orders gives {strange[0]!r} among others; give Orders")
        return orders


@dataclass(frozen=True)
class _Orders:
    """Orders in prices on their way to setups in ticks; ``rows`` are those of the history that they are decided on."""

    strategy: SessionStrategy
    seen: Seen
    rows: list[int]
    orders: list[Order]

    def setups(self) -> Setups:
        entry = self._ticks("entry", optional=True)
        types = [self._type(k) for k in range(len(self.orders))]
        columns: dict[str, NDArray[Any]] = {}
        if any(name != "limit" for name in types):
            columns["type"] = np.array(types, object)
        for name in _NUMBERS:
            columns |= self._optional(name, self._within)
        for name in TIME_COLUMNS:
            columns |= self._optional(name, self._instant, NO_PRICE)
        if any(order.group is not None for order in self.orders):
            columns["group"] = np.array([order.group for order in self.orders], object)
        return Setups(
            row=np.array(self.rows, np.int64),
            side=np.array([self._side(k) for k in range(len(self.orders))], np.int64),
            entry=entry,
            stop=self._ticks("stop"),
            target=self._ticks("target", optional=True),
            columns=columns,
            gates=self._gates(),
            taken=self._taken(),
        )

    def _refuse(self, k: int, what: str) -> DataError:
        session = self.seen.upcoming[self.rows[k]]
        return DataError(f"strategy {self.strategy.name}, session {session:%F}: {what}")

    def _ticks(self, name: str, *, optional: bool = False) -> NDArray[np.int64]:
        instrument = self.seen.instrument
        known = [getattr(order, name) is not None for order in self.orders] if optional else [True] * len(self.orders)
        prices = np.array([self._price(k, name) if known[k] else 0.0 for k in range(len(known))], np.float64)
        off = instrument.off_tick(prices)
        if off.any():
            k = int(np.argmax(off))
            advice = f"round it to {instrument.symbol}'s tick of {instrument.tick_size:g}"
            raise self._refuse(k, f"{name} is {getattr(self.orders[k], name)}; {advice}")
        return np.where(known, instrument.to_ticks(prices), NO_PRICE)

    def _price(self, k: int, name: str) -> float:
        value = self._number(k, name)
        if not self.seen.instrument.allow_negative_prices and value <= 0:
            raise self._refuse(k, f"{name} is {value:g}; give a price above 0")
        if abs(value) > self.seen.instrument.tick_size * MOST_TICKS:
            raise self._refuse(k, f"{name} is {value:g}; there is no such price")
        return value

    def _number(self, k: int, name: str) -> float:
        value = getattr(self.orders[k], name)
        number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
        if not number or not -_MOST < value < _MOST:  # NaN is not between them either
            raise self._refuse(k, f"{name} is {value!r}; give a number")
        return float(value)

    def _within(self, k: int, name: str) -> float:
        value = self._number(k, name)
        if not NUMBERS[name].holds(value):
            raise self._refuse(k, f"{name} is {value:g}; {NUMBERS[name].advice}")
        return value

    def _instant(self, k: int, name: str) -> int:
        value = getattr(self.orders[k], name)
        if isinstance(value, dt.datetime) and value is not pd.NaT and value.tzinfo is not None and value.year in _YEARS:
            return int(pd.Timestamp(value).tz_convert("UTC").as_unit("ns").value)
        raise self._refuse(k, f"{name} is {value!r}; give a time with a zone, as those of the bars have")

    def _type(self, k: int) -> str:
        order = self.orders[k]
        if order.type is None:
            return "market" if order.entry is None else "limit"
        if not isinstance(order.type, str) or order.type not in TYPES:
            raise self._refuse(k, f"type is {order.type!r}; give {', '.join(TYPES)} or None")
        return order.type

    def _side(self, k: int) -> int:
        value = self.orders[k].side
        if isinstance(value, bool) or not isinstance(value, Integral) or value not in (1, -1):
            raise self._refuse(k, f"side is {value!r}; give 1 for a long or -1 for a short")
        return int(value)

    def _optional(
        self, name: str, read: Callable[[int, str], float | int], empty: float | int = np.nan
    ) -> dict[str, NDArray[Any]]:
        """A column by its name: whole numbers where no order leaves it empty; nothing where all do."""
        known = [getattr(order, name) is not None for order in self.orders]
        if not any(known):
            return {}
        values = np.array([read(k, name) if known[k] else empty for k in range(len(known))])
        whole = name in NUMBERS and NUMBERS[name].whole and all(known)
        return {name: values.astype(np.int64) if whole else values}

    def _gates(self) -> dict[str, NDArray[Any]]:
        for k, order in enumerate(self.orders):
            if not isinstance(order.gates, Mapping):
                raise self._refuse(k, f"gates is {order.gates!r}; give a mapping of names to True or False")
        names = dict.fromkeys([*(name for order in self.orders for name in order.gates), *self.strategy.gates])
        return {name: self._gate(name) for name in names}

    def _gate(self, name: str) -> NDArray[Any]:
        declared = name in self.strategy.gates
        values: list[Any] = []
        for k, order in enumerate(self.orders):
            value = order.gates.get(name)
            if value is None and declared:
                raise self._refuse(k, f"an order has no gate {name}; give each order every gate")
            if declared and not isinstance(value, bool | np.bool_):
                raise self._refuse(k, f"the gate {name} is {value!r}; give True or False")
            if not isinstance(value, Real | np.bool_ | None):
                raise self._refuse(k, f"{name} is {value!r}; give a number")
            values.append(np.nan if value is None else value)
        return np.array(values, np.bool_ if declared else np.float64)

    def _taken(self) -> NDArray[np.bool_] | None:
        if all(order.taken is None for order in self.orders):
            return None
        for k, order in enumerate(self.orders):
            if not isinstance(order.taken, bool | np.bool_):
                advice = "give True or False, and to every order or to none"
                raise self._refuse(k, f"taken is {order.taken!r}; {advice}")
        return np.array([order.taken for order in self.orders], np.bool_)
