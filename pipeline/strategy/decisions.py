"""What a strategy decides, taken from it and checked: every setup can be an order, or one error says why not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError, did_you_mean
from pipeline.market import session_schedule
from pipeline.plugins import fault_of
from pipeline.strategy.order_columns import (
    CANDIDATE_COLUMNS,
    MOST_TICKS,
    NUMBERS,
    ORDER_COLUMNS,
    TIME_COLUMNS,
    Fault,
    empty_cells,
    empty_column,
    number_faults,
    price_faults,
    type_code,
    type_faults,
    window_faults,
)
from pipeline.strategy.seen import Seen
from pipeline.strategy.setups import NO_PRICE, Setups

__all__ = ["Decider", "checked_setups"]

Bools = NDArray[np.bool_]

_ARRAYS = ("row", "side", "entry", "stop", "target")


class Decider(Protocol):
    """What is asked of a :class:`~pipeline.strategy.Strategy` here."""

    name: ClassVar[str]
    gates: ClassVar[Mapping[str, str]]

    def decision_minutes(self) -> tuple[int, ...]:
        """As of a strategy."""

    def setups(self, seen: Seen) -> Setups:
        """As of a strategy."""


def checked_setups(strategy: Decider, seen: Seen) -> Setups:
    """Return a strategy's setups, each of a session there is and one that can be an order.

    Raises
    ------
    DataError
        For the first that can't be an order: names strategy and session, and says what is wrong. For an error in the
        strategy's own code: names file and line.
    ConfigurationError
        Where it asks for something that the history or the decision doesn't have: names file and line.
    """
    minutes = _called(strategy, strategy.decision_minutes)
    if not isinstance(minutes, tuple) or any(not isinstance(one, Integral) or one < 1 for one in minutes):
        raise DataError(f"strategy {strategy.name}: decision_minutes gives {minutes!r}; give a tuple of whole minutes")
    if list(minutes) != sorted(set(minutes)):
        raise DataError(f"strategy {strategy.name}: decision_minutes gives {minutes}; give each once, in order")
    if not minutes:
        found = _checked(strategy, seen, _called(strategy, strategy.setups, seen))
        if (found.entry != NO_PRICE).all():
            return found
        last = seen.ticks("close")[found.row]
        _refuse_beside(strategy, seen, found, last)
        return replace(found, last=last)
    return Setups.joined(_filled(strategy, [_decided(strategy, seen.at(minute)) for minute in minutes]))


def _called(strategy: Decider, function: Callable[..., Any], *given: Any) -> Any:
    try:
        return function(*given)
    except DataError:
        raise  # it says itself what is wrong
    except (Exception, SystemExit) as error:
        # A history made with other settings is no fault of the code.
        kind = ConfigurationError if isinstance(error, ConfigurationError) else DataError
        raise kind(f"strategy {strategy.name}: {fault_of(type(strategy), error).sentence}") from error


def _decided(strategy: Decider, seen: Seen) -> Setups:
    found = _checked(strategy, seen, _called(strategy, strategy.setups, seen))
    today, row = seen.today, found.row
    unknown = ~today.known[row]
    why = f"is decided {seen.minute} minutes after the open without a bar; give rows where seen.today.known"
    _refuse(strategy, seen, found, unknown, why)
    at, last = today.decided_at[row], today.last[row]
    given = found.columns.get("live_from", at)
    live = np.where(given == NO_PRICE, at, given)
    _refuse(strategy, seen, found, live < at, "is live before it was decided")
    if "live_until" in found.columns:
        until = found.columns["live_until"]
        _refuse(strategy, seen, found, (until != NO_PRICE) & (until <= live), "ends before it is live")
    _refuse_beside(strategy, seen, found, last)
    return replace(found, columns={**found.columns, "live_from": live}, decided_at=at, last=last)


def _filled(strategy: Decider, parts: Sequence[Setups]) -> list[Setups]:
    """The decisions of several times with the same columns and measures, empty where one of them has none."""
    parts = [part for part in parts if len(part.row)] or list(parts[:1])
    columns = {name: values for part in parts for name, values in part.columns.items()}
    gates = {name: values for part in parts for name, values in part.gates.items()}
    for name, values in gates.items():
        if values.dtype == np.bool_ and any(name not in part.gates for part in parts):
            raise DataError(f"strategy {strategy.name} has the gate {name} at one time and not at another; declare it")
    return [
        replace(
            part,
            columns={name: part.columns.get(name, empty_column(name, len(part.row))) for name in columns},
            gates={name: part.gates.get(name, np.full(len(part.row), np.nan)) for name in gates},
        )
        for part in parts
    ]


def _checked(strategy: Decider, seen: Seen, found: Any) -> Setups:
    """The setups with arrays of the right kinds, each of a session of the history and possible by itself."""
    if not isinstance(found, Setups):
        raise DataError(f"strategy {strategy.name} gives {type(found).__name__}; give Setups")
    if not all(isinstance(given, Mapping) for given in (found.columns, found.gates)):
        raise DataError(f"strategy {strategy.name}: its columns and gates must each be a mapping of names to arrays")
    whole: dict[str, Any] = {name: _whole(strategy, name, getattr(found, name)) for name in _ARRAYS}
    found = replace(found, **whole)
    count = len(found.row)
    if not count and not found.gates:
        found = replace(found, gates=dict.fromkeys(strategy.gates, np.empty(0, np.bool_)))
    _check_gates(strategy, found)
    taken = {} if found.taken is None else {"taken": found.taken}
    for name, values in {**whole, **found.columns, **found.gates, **taken}.items():
        if not isinstance(values, np.ndarray) or values.shape != (count,):
            shape = f"of shape {values.shape}" if isinstance(values, np.ndarray) else f"as {_kind(values)}"
            raise DataError(
                f"strategy {strategy.name} gives {count} setups but {name} {shape}; give an array of one value each"
            )
    outside = (found.row < 0) | (found.row >= len(seen))
    if outside.any():
        row = found.row[int(np.argmax(outside))]
        raise DataError(f"strategy {strategy.name} decides on row {row}, but the history has rows 0 to {len(seen) - 1}")

    def refuse(wrong: Bools, why: str) -> None:
        _refuse(strategy, seen, found, wrong, why)

    refuse(np.diff(found.row, prepend=0) < 0, "comes after later sessions; give them in order")
    least = -MOST_TICKS if seen.instrument.allow_negative_prices else 1
    for name in ("entry", "stop", "target"):
        ticks = getattr(found, name)
        wrong = (ticks != NO_PRICE) & ((ticks < least) | (ticks > MOST_TICKS))
        refuse(wrong, f"has {name} at a price there can't be" + (", 0 or below" if (ticks[wrong] < 1).any() else ""))
    for fault in price_faults(found.side, found.entry, found.stop, found.target):
        _refuse_fault(strategy, seen, found, fault)
    _check_columns(strategy, seen, found)
    return found


def _whole(strategy: Decider, name: str, values: Any) -> NDArray[np.int64]:
    if not isinstance(values, np.ndarray) or values.dtype.kind != "i":
        raise DataError(f"strategy {strategy.name} gives {name} as {_kind(values)}; give an array of whole numbers")
    if values.ndim != 1:
        raise DataError(f"strategy {strategy.name} gives {name} of shape {values.shape}; give one value each")
    return values.astype(np.int64, copy=False)


def _check_gates(strategy: Decider, found: Setups) -> None:
    if absent := [gate for gate in strategy.gates if gate not in found.gates]:
        raise DataError(f"strategy {strategy.name} declares the gate {absent[0]}, but its setups don't have it")
    for name, values in {**found.gates, "taken": found.taken}.items():
        if name == "taken" and values is None:
            continue
        kind = getattr(getattr(values, "dtype", None), "kind", "")
        must = name == "taken" or name in strategy.gates
        if kind not in ("b" if must else "bif"):
            wanted = "an array of bools" if must else "an array of bools or numbers"
            raise DataError(f"strategy {strategy.name} gives {name} as {_kind(values)}; give {wanted}")
        if name != "taken" and (not isinstance(name, str) or not name.isidentifier() or name in CANDIDATE_COLUMNS):
            raise DataError(f"strategy {strategy.name}: the measure {name!r} has the name of a column; rename it")


def _kind(values: Any) -> str:
    return str(values.dtype) if isinstance(values, np.ndarray) else type(values).__name__


def _check_columns(strategy: Decider, seen: Seen, found: Setups) -> None:
    if strange := [name for name in found.columns if name not in ORDER_COLUMNS]:
        raise DataError(
            f"strategy {strategy.name} gives the column {strange[0]!r}, which no order has; choose from "
            f"{', '.join(ORDER_COLUMNS)}{did_you_mean(str(strange[0]), ORDER_COLUMNS)}"
        )
    for name, values in found.columns.items():
        if name in NUMBERS and values.dtype.kind not in "if":
            raise DataError(f"strategy {strategy.name} gives {name} as {values.dtype}; {NUMBERS[name].advice}")
        if name in TIME_COLUMNS and values.dtype.kind != "i":
            advice = "give UTC nanoseconds as whole numbers"
            raise DataError(f"strategy {strategy.name} gives {name} as {values.dtype}; {advice}")
    if len(found.row):
        for fault in _column_faults(seen, found):
            _refuse_fault(strategy, seen, found, fault)
    arrays = {name: getattr(found, name) for name in _ARRAYS}
    if pd.DataFrame(arrays).duplicated().any():
        again = pd.DataFrame({**arrays, **found.columns}).duplicated().to_numpy()
        _refuse(strategy, seen, found, again, "is the same as one before it; give it once")


def _column_faults(seen: Seen, found: Setups) -> Iterator[Fault]:
    columns, count = found.columns, len(found.row)
    types = np.zeros(count, np.int64)
    if "type" in columns:
        given = columns["type"]
        types = np.where(empty_cells(given), 0, [type_code(value) for value in given.tolist()])
    yield from type_faults(types, found.entry != NO_PRICE)
    yield from number_faults(columns)
    if "group" in columns:
        named = np.array([isinstance(value, str | int) for value in columns["group"].tolist()], np.bool_)
        yield Fault("group", ~(empty_cells(columns["group"]) | named), "give a text")
    if any(name in columns for name in TIME_COLUMNS):
        upcoming = seen.upcoming[found.row]
        schedule = session_schedule(seen.instrument, upcoming.min(), upcoming.max()).loc[upcoming]
        opens, closes = (pd.DatetimeIndex(schedule[end]).as_unit("ns").asi8 for end in ("open", "close"))
        live_from, live_until = (columns.get(name, empty_column(name, count)) for name in TIME_COLUMNS)
        yield from window_faults(live_from, live_until, opens, closes)


def _refuse_beside(strategy: Decider, seen: Seen, found: Setups, last: NDArray[np.int64]) -> None:
    """Refuse orders without an entry whose stop or target the last known price is beyond."""
    market = found.entry == NO_PRICE
    wrong = market & (found.side * (last - found.stop) <= 0)
    _refuse(strategy, seen, found, wrong, "has its stop at or beyond the last price, on the winning side")
    wrong = market & (found.target != NO_PRICE) & (found.side * (found.target - last) <= 0)
    _refuse(strategy, seen, found, wrong, "has its target at or beyond the last price, on the losing side")


def _refuse(strategy: Decider, seen: Seen, setups: Setups, wrong: Bools, why: str) -> None:
    if not wrong.any():
        return
    number = int(np.argmax(wrong))
    session = seen.upcoming[setups.row[number]]
    raise DataError(f"strategy {strategy.name}: setup {number}, for session {session:%F}, {why}")


def _refuse_fault(strategy: Decider, seen: Seen, setups: Setups, fault: Fault) -> None:
    if not fault.wrong.any():
        return
    number = int(np.argmax(fault.wrong))
    value = _shown(seen, setups, fault.column, number)
    what = f"no {fault.column}" if value == "empty" else f"{fault.column} {value}"
    if fault.beside and fault.beside != "session":  # which is named anyhow
        what += f" with {fault.beside} {_shown(seen, setups, fault.beside, number)}"
    _refuse(strategy, seen, setups, fault.wrong, f"has {what}; {fault.advice}")


def _shown(seen: Seen, setups: Setups, name: str, number: int) -> str:
    prices = {"entry": setups.entry, "stop": setups.stop, "target": setups.target}
    column = prices.get(name, setups.side if name == "side" else setups.columns.get(name))
    if column is None or empty_cells(column[[number]])[0]:
        return "empty"
    value = column[number]
    if name in prices:
        return str(float(seen.instrument.to_prices(value)))
    return str(pd.Timestamp(value, tz="UTC")) if name in TIME_COLUMNS else str(value)
