"""Cells of a table of orders, each checked, with the row that is wrong named."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError

__all__ = ["OrderError", "empty_cells", "instants", "numbers", "refuse", "session_dates", "whole_numbers"]


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


def refuse(orders: pd.DataFrame, name: str, wrong: NDArray[np.bool_], advice: str, beside: str | None = None) -> None:
    """Raise OrderError for the first row that is wrong: says the cell, the one beside it, and what to do."""
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    context = f" with {beside} {_shown(orders[beside].iloc[row])}" if beside else ""
    raise OrderError(row, orders.index[row], f"{name} is {_shown(orders[name].iloc[row])}{context}; {advice}")


def _shown(value: object) -> str:
    return "empty" if isinstance(value, str) and not value else str(value)


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
    """Return a column as numbers; NaN where a cell is none."""
    return pd.to_numeric(orders[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def whole_numbers(orders: pd.DataFrame, name: str, what: str) -> NDArray[np.int64]:
    """Return a column of whole numbers of 1 or more; 0 where a cell is empty or the column missing."""
    empty = empty_cells(orders, name)
    if empty.all():
        return np.zeros(len(orders), np.int64)
    values = numbers(orders, name)
    whole = np.isfinite(values) & (values >= 1) & (values == np.floor(values)) & (values < 2**31)
    refuse(orders, name, ~empty & ~whole, f"give a whole number of {what}, 1 or more, or leave it empty")
    return np.where(empty, 0, values).astype(np.int64)


def session_dates(orders: pd.DataFrame) -> pd.DatetimeIndex:
    """Return the sessions as midnights without a zone."""
    column = orders["session"]
    if column.dtype == object or pd.api.types.is_numeric_dtype(column.dtype):
        # A number would be read as nanoseconds since 1970, and the order would end as one without bars.
        refuse(orders, "session", _are_numbers(column), "give the trade date as a date or text, e.g. 2021-03-15")
    try:
        dates = pd.DatetimeIndex(pd.to_datetime(column))
    except (ValueError, TypeError, OverflowError):
        # Only to find the row: mixed forms, and what is not a date at all.
        dates = pd.DatetimeIndex([_date(value) for value in column])
    if dates.tz is not None:
        dates = dates.tz_localize(None)  # the wall clock's date is the one written
    refuse(orders, "session", np.asarray(dates.isna()), "give the trade date, e.g. 2021-03-15")
    return dates.normalize().as_unit("ns")


def _date(value: object) -> pd.Timestamp:
    stamp = _timestamp(value)
    return stamp.tz_localize(None) if stamp is not pd.NaT else stamp


def _timestamp(value: Any) -> pd.Timestamp:
    try:
        return pd.Timestamp(value)
    except (ValueError, TypeError, OverflowError):
        return pd.NaT


def _are_numbers(column: pd.Series) -> NDArray[np.bool_]:
    return np.array([isinstance(value, int | float | np.number) and not pd.isna(value) for value in column], np.bool_)


def instants(orders: pd.DataFrame, name: str, otherwise: int) -> NDArray[np.int64]:
    """Return a column of instants in nanoseconds (UTC); ``otherwise`` where a cell is empty or the column missing."""
    empty = empty_cells(orders, name)
    if empty.all():
        return np.full(len(orders), otherwise)
    column = orders[name]
    if not isinstance(column.dtype, pd.DatetimeTZDtype):
        advice = "give a time with its zone, e.g. 2021-03-15 09:30-05:00"
        refuse(orders, name, _are_numbers(column), advice)
        # One by one, for each may have a zone of its own or, which is refused, none.
        read = {value: _timestamp(value) for value in column[~empty].unique()}
        wrong = np.array([not empty[row] and read[value].tz is None for row, value in enumerate(column)], np.bool_)
        refuse(orders, name, wrong, advice)
        stamps = [pd.NaT if empty[row] else read[value].tz_convert("UTC") for row, value in enumerate(column)]
        column = pd.Series(pd.DatetimeIndex(stamps, tz="UTC"))
    times = pd.DatetimeIndex(column).as_unit("ns").asi8
    return np.where(empty, otherwise, times)
