"""Requirements on bars before anything is computed from them, whoever made the frame."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.frames import numbers_of, require_columns, times_of

__all__ = ["BAR_COLUMNS", "bar_columns", "require_bars"]

BAR_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")


def require_bars(bars: pd.DataFrame, columns: Sequence[str] = BAR_COLUMNS) -> pd.DataFrame:
    """Bars in the form the project computes with, or an error that names what is wrong and where.

    Parameters
    ----------
    bars
        One row per bar, shape (n, ...). Columns in any order, numbers of any width, times of any unit
        in any zone; the times may be the index instead (a ``DatetimeIndex`` without a name or named
        ``timestamp``).
    columns
        The columns needed. Others are handed on as they are.

    Returns
    -------
    DataFrame
        ``timestamp`` as datetime64[ns, UTC], strictly increasing, the other needed columns as finite
        float64, ``contract`` (where there is one) as str, on a RangeIndex. The frame given is left as it is.

    Raises
    ------
    DataError
        For a column that is missing, twice there or not numbers; for NaN or infinite values; for
        timestamps without a zone, missing or not strictly increasing; for negative volume; for a
        high below its low; for a contract that is missing in some rows.
    """
    return pd.DataFrame(bar_columns(bars, columns))  # a copy: writing into it must not reach the frame given


def bar_columns(bars: pd.DataFrame, columns: Sequence[str] = BAR_COLUMNS) -> dict[str, Any]:
    """The columns of :func:`require_bars`, to be read only: what is in the right form already is not copied.

    Returns
    -------
    dict
        ``timestamp`` as a DatetimeIndex, the other needed columns as float64 arrays, the rest as pandas arrays.

    Raises
    ------
    DataError
        As :func:`require_bars`.
    """
    require_columns(bars, columns, "bars")
    result: dict[str, Any] = {}
    if "timestamp" in columns:
        result["timestamp"] = _rising(times_of(bars, "bars"))
    labels = result.get("timestamp")
    for name in columns:
        if name != "timestamp":
            result[name] = _finite(numbers_of(bars, name, "bars"), name, labels)
    if "volume" in result and len(bars) and result["volume"].min() < 0:
        row = int(np.argmax(result["volume"] < 0))
        raise DataError(
            f"bars have negative volume ({result['volume'][row]:g}) {_place(row, labels)}; clean them before use"
        )
    if "high" in result and "low" in result and (below := result["high"] < result["low"]).any():
        row = int(np.argmax(below))
        raise DataError(
            f"bars have a high ({result['high'][row]:g}) below the low ({result['low'][row]:g}) "
            f"{_place(row, labels)}; clean them before use"
        )
    if "contract" in bars.columns and (unknown := bars["contract"].isna().to_numpy()).any():
        row = int(np.argmax(unknown))
        raise DataError(f"bars have no contract {_place(row, labels)}; fill the column contract or leave it out")
    for name in bars.columns:
        if name not in result:
            # Contracts are names, also where a file writes them as numbers (202403): orders and profiles name them too.
            result[name] = (bars[name].astype("str") if name == "contract" else bars[name]).array
    return result


def _rising(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    if index.hasnans:
        raise DataError(f"bars have no timestamp {_place(int(np.argmax(index.isna())), None)}; drop or fill the row")
    instants = index.asi8
    steps_back = instants[1:] <= instants[:-1]
    if steps_back.any():
        row = int(np.argmax(steps_back)) + 1
        raise DataError(
            f"bars' timestamps must be strictly increasing, but {index[row].isoformat()} at row {row} follows "
            f"{index[row - 1].isoformat()}; sort them and drop duplicates"
        )
    return index


def _finite(numbers: NDArray[np.float64], name: str, labels: pd.DatetimeIndex | None) -> NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):
        suspect = not np.isfinite(numbers.sum())  # one pass without an array; what isn't finite stays so in the sum
    if suspect and not (finite := np.isfinite(numbers)).all():
        row = int(np.argmin(finite))
        raise DataError(f"bars' column {name} is {numbers[row]} {_place(row, labels)}; clean the bars before use")
    return numbers


def _place(row: int, labels: pd.DatetimeIndex | None) -> str:
    return f"at row {row}" if labels is None else f"at row {row} ({labels[row].isoformat()})"
