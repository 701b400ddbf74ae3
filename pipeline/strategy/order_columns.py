"""An order's optional columns (contract §6a) as a strategy gives them: which there are, and what each may hold."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.strategy.setups import NO_PRICE

__all__ = [
    "CANDIDATE_COLUMNS",
    "ORDER_COLUMNS",
    "TIME_COLUMNS",
    "TYPES",
    "column_faults",
    "empty_cells",
    "empty_column",
]

Bools = NDArray[np.bool_]

TYPES = ("limit", "stop", "market")
TIME_COLUMNS = ("live_from", "live_until")
_COUNTS = ("trail_ticks", "breakeven_ticks", "give_back_from_ticks", "max_bars", "quantity")
_GIVE_BACK = ("give_back_percent", "give_back_from_ticks")
ORDER_COLUMNS = ("type", *TIME_COLUMNS, "group", *_COUNTS, "give_back_percent")
"""Those that a strategy may give."""
CANDIDATE_COLUMNS = frozenset(
    {
        *("session", "decided_on", "decided_at", "side", "entry", "stop", "target", "contract", "stop_ticks"),
        *("target_ticks", "rule_signal", *ORDER_COLUMNS),
    }
)
"""Those of the frame of candidates, after which no gate may be called."""

_MOST = 1 << 31


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


def column_faults(columns: Mapping[str, NDArray[Any]], entered: Bools) -> Iterator[tuple[Bools, str]]:
    """Yield what may be wrong with orders, shape (m,), and the words that say so after "setup 3".

    Parameters
    ----------
    columns
        Some of ``ORDER_COLUMNS``, shape (m,) each.
    entered
        Which orders have an entry.
    """
    yield from _type_faults(columns.get("type"), entered)
    for name in _COUNTS:
        if name in columns:
            yield from _number_faults(name, columns[name], "a whole number, 1 or more", whole=True, most=_MOST)
    if "give_back_percent" in columns:
        name = "give_back_percent"
        yield from _number_faults(name, columns[name], "a percentage above 0, at most 100", whole=False, most=100)
    if any(name in columns for name in _GIVE_BACK):
        nothing = np.ones(len(entered), np.bool_)
        percent, ticks = (empty_cells(columns[name]) if name in columns else nothing for name in _GIVE_BACK)
        yield percent != ticks, f"has one of {' and '.join(_GIVE_BACK)}; give both or neither"
    if "group" in columns:
        named = [isinstance(value, str | int) for value in columns["group"].tolist()]
        yield ~(empty_cells(columns["group"]) | np.array(named, np.bool_)), "has a group that is no text"
    for name in TIME_COLUMNS:
        if name in columns and columns[name].dtype.kind != "i":
            yield (
                np.ones(len(entered), np.bool_),
                f"has {name} as {columns[name].dtype}; give UTC nanoseconds as whole numbers",
            )
    if all(name in columns for name in TIME_COLUMNS):
        begins, ends = (columns[name] for name in TIME_COLUMNS)
        yield (begins != NO_PRICE) & (ends != NO_PRICE) & (ends <= begins), "has live_until no later than live_from"


def _type_faults(values: NDArray[Any] | None, entered: Bools) -> Iterator[tuple[Bools, str]]:
    market = np.zeros(len(entered), np.bool_)
    if values is not None:
        names = ["limit" if empty else value for empty, value in zip(empty_cells(values), values.tolist(), strict=True)]
        yield (
            np.array([not (isinstance(name, str) and name in TYPES) for name in names], np.bool_),
            f"has a type that is none of {', '.join(TYPES)}",
        )
        market = np.array([name == "market" for name in names], np.bool_)
    yield market & entered, "is a market order with an entry; leave the entry out, or make it a limit or a stop order"
    yield ~market & ~entered, "has no entry; give one, or make it a market order"


def _number_faults(
    name: str, values: NDArray[Any], wanted: str, *, whole: bool, most: int
) -> Iterator[tuple[Bools, str]]:
    if values.dtype.kind not in "if":
        yield np.ones(len(values), np.bool_), f"has {name} as {values.dtype}; give {wanted}"
        return
    empty = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), np.bool_)
    possible = (values > 0) & (values <= most) & ((values == np.floor(values)) | (not whole))
    yield ~(empty | possible), f"has an impossible {name}; give {wanted}, or leave it empty"
