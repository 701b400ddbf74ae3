"""Columns of frames, whoever made them: times in UTC and numbers as floats, or an error that names what is wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError

__all__ = ["numbers_of", "require_columns", "times_are_index", "times_of"]


def require_columns(frame: pd.DataFrame, needed: Sequence[str], rows: str) -> None:
    """Refuse what is no frame, lacks a needed column or has one twice; the times may be its index.

    Parameters
    ----------
    frame, needed
        The frame, and its columns.
    rows
        What to call its rows: ``bars``, ``trades``.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{rows} must be a pandas DataFrame, not {type(frame).__name__}")
    present = {*frame.columns, *(["timestamp"] if times_are_index(frame) else [])}
    if missing := [name for name in needed if name not in present]:
        found = ", ".join(map(str, frame.columns)) or "none"
        raise DataError(f"{rows} have no column {', '.join(missing)} (columns found: {found}); rename or add it")
    if twice := sorted(set(map(str, frame.columns[frame.columns.duplicated()])) & set(needed)):
        raise DataError(f"{rows} have the column {', '.join(twice)} more than once; keep one of them")


def times_are_index(frame: pd.DataFrame) -> bool:
    """Return True if the index holds the rows' times."""
    return isinstance(frame.index, pd.DatetimeIndex) and frame.index.name in (None, "timestamp")


def times_of(frame: pd.DataFrame, rows: str) -> pd.DatetimeIndex:
    """The times of rows, in the column ``timestamp`` or else the index, in UTC nanoseconds; NaT where missing."""
    values: Any = frame["timestamp"] if "timestamp" in frame.columns else frame.index
    if len(values) == 0:
        return pd.DatetimeIndex([], tz="UTC").as_unit("ns")
    if pd.api.types.is_numeric_dtype(values.dtype) or isinstance(values.dtype, pd.StringDtype):
        raise DataError(
            f"{rows}' timestamps are {values.dtype}, not times; convert them first, e.g. pd.to_datetime(..., utc=True)"
        )
    try:
        index = pd.DatetimeIndex(values)
        if index.tz is not None:
            index = index.tz_convert("UTC")
            index = index if index.unit == "ns" else index.as_unit("ns")  # which would copy
    except pd.errors.OutOfBoundsDatetime as error:
        raise DataError(f"{rows}' timestamps hold a time outside 1678 to 2261: {error}") from error
    except (TypeError, ValueError) as error:
        raise DataError(f"{rows}' timestamps can't be read as times: {' '.join(str(error).split())}") from error
    if index.tz is None:
        raise DataError(f"{rows}' timestamps carry no time zone; localize them to their zone, then convert to UTC")
    return index.rename(None)


def numbers_of(frame: pd.DataFrame, name: str, rows: str) -> NDArray[np.float64]:
    """A column as float64; NaN where missing."""
    values = frame[name]
    kind = values.dtype
    problem = ""
    if not (isinstance(kind, pd.StringDtype) or pd.api.types.is_datetime64_any_dtype(kind)):
        try:
            return values.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            problem = f": {' '.join(str(error).split())}"
    raise DataError(f"{rows}' column {name} holds {kind}, not numbers{problem}")
