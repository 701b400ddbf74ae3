"""An order's columns (contract §6 and §6a): which there are, and the one rule of what each may hold.

Strategies give columns as arrays, tables of orders as cells. Each is read where it comes from; what was read is held to
the rules here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.strategy.setups import NO_PRICE

__all__ = [
    "CANDIDATE_COLUMNS",
    "MOST_TICKS",
    "NUMBERS",
    "ORDER_COLUMNS",
    "TIME_COLUMNS",
    "TYPES",
    "Fault",
    "empty_cells",
    "empty_column",
    "number_faults",
    "price_faults",
    "type_code",
    "type_faults",
    "window_faults",
]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

TYPES = ("limit", "stop", "market")
_MARKET = TYPES.index("market")
TIME_COLUMNS = ("live_from", "live_until")
MOST_TICKS = 1 << 40
"""The farthest price, in ticks: its products with other prices stay within 64 bits."""


@dataclass(frozen=True)
class _Range:
    """Numbers from ``least`` to ``most``, and how to ask for one."""

    advice: str
    least: float = 1
    most: float = (1 << 31) - 1
    whole: bool = True

    def holds(self, values: NDArray[Any] | float) -> Any:
        """Return True where a number is in it, and whole if it must be."""
        return (values >= self.least) & (values <= self.most) & ((not self.whole) | (values == np.floor(values)))


def _whole(unit: str) -> _Range:
    return _Range(f"give a whole number of {unit}, 1 or more, or leave it empty")


NUMBERS: Mapping[str, _Range] = {
    "trail_ticks": _whole("ticks"),
    "breakeven_ticks": _whole("ticks"),
    "give_back_from_ticks": _whole("ticks"),
    "max_bars": _whole("bars"),
    "quantity": _whole("contracts"),
    "give_back_percent": _Range("give a percentage from 0.0001 to 100, or leave it empty", 1e-4, 100, whole=False),
}
_GIVE_BACK = ("give_back_percent", "give_back_from_ticks")
ORDER_COLUMNS = ("type", *TIME_COLUMNS, "group", *NUMBERS)
"""Those that a strategy may give."""
CANDIDATE_COLUMNS = frozenset(
    {
        *("session", "decided_on", "decided_at", "side", "entry", "stop", "target", "contract", "stop_ticks"),
        *("target_ticks", "rule_signal", *ORDER_COLUMNS),
    }
)
"""Those of the frame of candidates, after which no gate may be called."""


def empty_column(name: str, count: int) -> NDArray[Any]:
    """Return a column that says nothing of so many orders."""
    if name in TIME_COLUMNS:
        return np.full(count, NO_PRICE)
    return np.full(count, None if name in ("type", "group") else np.nan)


def empty_cells(values: NDArray[Any]) -> Bools:
    """Return True where a column says nothing: ``NO_PRICE`` in a time, NaN among floats, None or "" among objects."""
    if values.dtype.kind == "i":
        return np.asarray(values == NO_PRICE)
    if values.dtype.kind == "f":
        return np.isnan(values)
    return np.array([value is None or value == "" or _is_nan(value) for value in values.tolist()], np.bool_)


def _is_nan(value: Any) -> bool:
    return value is pd.NaT or value is pd.NA or (isinstance(value, float) and value != value)


def type_code(value: Any) -> int:
    """Return a type's position in ``TYPES``; −1 for what is none."""
    return TYPES.index(value) if isinstance(value, str) and value in TYPES else -1


@dataclass(frozen=True)
class Fault:
    """Orders that break a rule.

    Attributes
    ----------
    column
        The one to change.
    wrong
        Which orders, shape (m,).
    advice
        What to do about it.
    beside
        The column that it contradicts, if any.
    """

    column: str
    wrong: Bools
    advice: str
    beside: str | None = None


def type_faults(types: Ints, entered: Bools) -> Iterator[Fault]:
    """Yield faults of types (see :func:`type_code`), and of which orders have an entry, shape (m,) each."""
    yield Fault("type", types < 0, f"give {', '.join(TYPES[:-1])} or {TYPES[-1]}, or leave it empty")
    market = types == _MARKET
    yield Fault("entry", market & entered, "leave it empty, or give another type", beside="type")
    yield Fault("entry", ~market & ~entered, "give a price, or make it a market order")


def price_faults(side: NDArray[Any], entry: Ints, stop: Ints, target: Ints) -> Iterator[Fault]:
    """Yield faults of sides and prices in ticks, shape (m,) each; ``NO_PRICE`` where there is no entry or target."""
    yield Fault("side", ~np.isin(side, (1, -1)), "give 1 for a long or -1 for a short")
    yield Fault("stop", stop == NO_PRICE, "every order needs one: give a price")
    entered, aimed, long = entry != NO_PRICE, target != NO_PRICE, side > 0
    wrong = entered & np.where(long, stop >= entry, stop <= entry)
    yield Fault("stop", wrong, "it must be below the entry of a long, above that of a short", beside="entry")
    for beside, level, there in (("entry", entry, entered), ("stop", stop, ~entered)):
        wrong = there & aimed & np.where(long, target <= level, target >= level)
        yield Fault("target", wrong, f"it must be above the {beside} of a long, below that of a short", beside=beside)


def number_faults(columns: Mapping[str, NDArray[Any]]) -> Iterator[Fault]:
    """Yield faults of those of ``NUMBERS`` that there are, shape (m,) each, NaN where one says nothing."""
    for name, range_ in NUMBERS.items():
        if name in columns:
            values = columns[name]
            yield Fault(name, ~range_.holds(values) & (values == values), range_.advice)
    if any(name in columns for name in _GIVE_BACK):
        percent, ticks = (columns.get(name, np.array(np.nan)) for name in _GIVE_BACK)
        given, started = np.broadcast_arrays(percent == percent, ticks == ticks)
        yield Fault(_GIVE_BACK[0], given & ~started, "give both or neither", beside=_GIVE_BACK[1])
        yield Fault(_GIVE_BACK[1], started & ~given, "give both or neither", beside=_GIVE_BACK[0])


def window_faults(live_from: Ints, live_until: Ints, opens: Ints, closes: Ints) -> Iterator[Fault]:
    """Yield faults of live windows, ``NO_PRICE`` where one says nothing, beside the sessions' ends; UTC nanoseconds."""
    begins, ends = live_from != NO_PRICE, live_until != NO_PRICE
    advice = "give a time within its session, from its open to its close"
    yield Fault("live_from", begins & ((live_from < opens) | (live_from >= closes)), advice, beside="session")
    yield Fault("live_until", ends & ((live_until <= opens) | (live_until > closes)), advice, beside="session")
    yield Fault("live_until", begins & ends & (live_until <= live_from), "it must come after that", beside="live_from")
