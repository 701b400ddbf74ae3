"""Cells of a table of orders as arrays, and the row that is wrong named."""

from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.strategy.order_columns import Fault
from pipeline.strategy.setups import NO_PRICE

__all__ = ["OrderError", "empty_cells", "instants", "numbers", "refuse", "session_dates", "words"]


class OrderError(DataError):
    """An order that can't be.

    Attributes
    ----------
    row
        Its position among the orders, from 0.
    reason
        What is wrong with it.
    """

    def __init__(self, row: int, label: object, reason: str) -> None:
        super().__init__(f"orders row {label}: {reason}")
        self.row, self.reason = row, reason


def refuse(orders: pd.DataFrame, fault: Fault) -> None:
    """Raise OrderError for the first row with the fault: says the cell, the one beside it, and what to do."""
    if not fault.wrong.any():
        return
    row = int(np.argmax(fault.wrong))
    context = f" with {fault.beside} {_shown(orders, fault.beside, row)}" if fault.beside else ""
    reason = f"{fault.column} is {_shown(orders, fault.column, row)}{context}; {fault.advice}"
    raise OrderError(row, orders.index[row], reason)


def _shown(orders: pd.DataFrame, name: str, row: int) -> str:
    value = orders[name].iloc[row] if name in orders.columns else None
    return "empty" if pd.api.types.is_scalar(value) and (pd.isna(value) or value == "") else str(value)


def empty_cells(orders: pd.DataFrame, name: str) -> NDArray[np.bool_]:
    """Return which cells hold nothing; all, where there is no such column."""
    if name not in orders.columns:
        return np.ones(len(orders), np.bool_)
    column = orders[name]
    empty = column.isna().to_numpy(np.bool_)
    if column.dtype == object or pd.api.types.is_string_dtype(column.dtype):
        empty = empty | column.eq("").to_numpy(dtype=np.bool_, na_value=False)
    return empty


def numbers(orders: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return a column as numbers: NaN where a cell is empty, −infinity where it holds something else."""
    column = orders[name]
    if column.dtype.kind in "if" and isinstance(column.dtype, np.dtype):
        return column.to_numpy(np.float64)
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isnan(values) & ~empty_cells(orders, name), -np.inf, values)


def words(orders: pd.DataFrame, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return a column as positions in its different values, −1 where a cell is empty, and those values."""
    if name not in orders.columns:
        return np.full(len(orders), -1), np.empty(0, object)
    try:
        codes, names = pd.factorize(orders[name])
    except TypeError:
        listed = np.array([not pd.api.types.is_hashable(value) for value in orders[name]], np.bool_)
        refuse(orders, Fault(name, listed, "give one word or number"))
        raise
    blank = np.asarray(names == "", np.bool_)
    return (np.where(blank[codes] & (codes >= 0), -1, codes) if blank.any() else codes), np.asarray(names, object)


def session_dates(orders: pd.DataFrame) -> pd.DatetimeIndex:
    """Return the sessions as midnights without a zone."""
    column = orders["session"]
    if column.dtype == object or pd.api.types.is_numeric_dtype(column.dtype):
        # A number would be read as nanoseconds since 1970, and the order would end as one without bars.
        advice = "give the trade date as a date or text, e.g. 2021-03-15"
        refuse(orders, Fault("session", _are_numbers(column), advice))
    try:
        dates = pd.DatetimeIndex(column if column.dtype.kind == "M" else pd.to_datetime(column)).as_unit("ns")
    except (ValueError, TypeError, OverflowError):
        # Only to find the row: mixed forms, and what is not a date at all.
        dates = pd.DatetimeIndex([_date(value) for value in column]).as_unit("ns")
    if dates.tz is not None:
        dates = dates.tz_localize(None)  # the wall clock's date is the one written
    refuse(orders, Fault("session", np.asarray(dates.isna()), "give the trade date, e.g. 2021-03-15"))
    return dates if dates.is_normalized else dates.normalize()


def _date(value: object) -> pd.Timestamp:
    stamp = _timestamp(value)
    return stamp.tz_localize(None) if stamp is not pd.NaT else stamp


def _timestamp(value: Any) -> pd.Timestamp:
    try:
        return pd.Timestamp(value).as_unit("ns")
    except (ValueError, TypeError, OverflowError):
        return pd.NaT


def _are_numbers(column: pd.Series) -> NDArray[np.bool_]:
    return np.array([isinstance(value, int | float | np.number) and not pd.isna(value) for value in column], np.bool_)


def instants(orders: pd.DataFrame, name: str) -> NDArray[np.int64]:
    """Return a column of instants in nanoseconds (UTC); ``NO_PRICE`` where a cell is empty or the column missing."""
    if name not in orders.columns:
        return np.full(len(orders), NO_PRICE)
    column = orders[name]
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        with suppress(pd.errors.OutOfBoundsDatetime):
            return column.array.as_unit("ns").asi8
    advice = "give a time with its zone, e.g. 2021-03-15 09:30-05:00"
    refuse(orders, Fault(name, _are_numbers(column), advice))
    # One by one, for each may have a zone of its own or, which is refused, none.
    codes, values = words(orders, name)
    stamps = [_timestamp(value) for value in values]
    refuse(orders, Fault(name, np.array([*(stamp.tz is None for stamp in stamps), False])[codes], advice))
    return np.array([*(stamp.value for stamp in stamps), NO_PRICE])[codes]
