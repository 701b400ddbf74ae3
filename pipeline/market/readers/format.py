"""What a file format has to offer, and how its columns become raw bars."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.columns import Layout, bare_name
from pipeline.market.readers.contracts import ids_are_contracts
from pipeline.market.readers.options import Label, ReadOptions
from pipeline.market.readers.table import Table
from pipeline.market.readers.times import NAT, read_instants

__all__ = ["FileBars", "Format", "raw_bars", "refuse_columns"]


@dataclass(frozen=True)
class FileBars:
    """The raw bars of one file.

    Attributes
    ----------
    frame
        As :class:`pipeline.market.readers.RawBars` describes it.
    reading
        In words, how its times and columns were read.
    contract
        The contract all rows are of, where the file's name told it.
    """

    frame: pd.DataFrame
    reading: str
    contract: str | None


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    name
        What :class:`ReadOptions` and messages call it.
    recognises
        From a path and its first bytes (unpacked, UTF-8 where text), whether a file is of this format. Cheap.
    read
        The raw bars of one file; raises :class:`DataError` for what can't be read.
    """

    name: str
    recognises: Callable[[Path, bytes], bool]
    read: Callable[[Path, ReadOptions], FileBars]


def raw_bars(
    table: Table,
    layout: Layout,
    options: ReadOptions,
    *,
    time_zone: str | None = None,
    label: Label = "open",
    contract: str | None = None,
) -> FileBars:
    """A table's rows as raw bars: times in UTC and at the bars' open, numbers as float64.

    Parameters
    ----------
    table, layout
        The file's columns, and which of them is which of ours.
    options
        What the user said, which wins over the format's habits.
    time_zone, label
        The format's habits.
    contract
        The contract all rows are of, where the file's name tells and no column does.
    """
    table, of_symbol = _of_one_symbol(table, layout, options)
    instants = read_instants(table, layout.time, options.time_zone or time_zone, options.time_format)
    side = options.label or label
    length = options.bar_length
    if length is None:
        length = _bar_length(instants.nanoseconds, certain=side == "close", table=table)
    elif not _on_grid(instants.nanoseconds, length.value):
        raise DataError(f"{table.path}: bar is {options.bar}, but the times of the file do not keep to it; set bar")
    opens = instants.nanoseconds
    if side == "close" and length is not None:
        opens = np.where(opens == NAT, NAT, opens - length.value)
    ids = layout.columns.get("contract", "")
    doubtful = bare_name(ids) == "instrumentid" and "contract" not in options.columns
    if doubtful and not ids_are_contracts(table.texts(ids), opens):
        columns = {ours: theirs for ours, theirs in layout.columns.items() if ours != "contract"}
        layout = replace(layout, columns=columns)
    frame = pd.DataFrame({"timestamp": pd.DatetimeIndex(opens.view("M8[ns]"), tz="UTC")})
    for ours, theirs in layout.columns.items():
        if ours == "contract":
            contracts = table.texts(theirs)
            if contracts.null_count < len(contracts):  # a column of nothing tells nothing
                frame[ours] = pd.Series(contracts.to_pandas(), dtype="str")
        else:
            frame[ours] = table.numbers(theirs, options.decimal)
    told_by_name = contract is not None and "contract" not in frame
    if told_by_name:
        frame["contract"] = pd.Series(contract, index=frame.index, dtype="str")
    frame["source_file"] = pd.Series(str(table.path), index=frame.index, dtype="str")
    frame["source_line"] = table.lines
    parts = [
        f"{_spoken(length)}bars{of_symbol}",
        instants.reading,
        "labelled by their open" if side == "open" else "labelled by their close and shifted to their open",
        *([layout.renamed] if layout.renamed else []),
    ]
    return FileBars(frame, ", ".join(parts), contract if told_by_name else None)


def refuse_columns(path: Path, options: ReadOptions, format_name: str) -> None:
    """Say that ``columns`` has nothing to name in a format without names."""
    if options.columns:
        raise DataError(f"{path}: a {format_name} file has no column names, so columns can't be set; leave it out")


def _of_one_symbol(table: Table, layout: Layout, options: ReadOptions) -> tuple[Table, str]:
    if layout.symbol is None:
        if options.symbol is not None:
            raise DataError(
                f"{table.path} has no column of symbols to find {options.symbol} in; leave symbol out, "
                "or set columns: {symbol: <its name in the file>}"
            )
        return table, ""
    symbols = table.texts(layout.symbol)
    known = sorted(each for each in symbols.unique().to_pylist() if each is not None)
    if options.symbol is None:
        if len(known) > 1:
            raise DataError(
                f"{table.path}, column {layout.symbol!r} holds {len(known)} symbols ({', '.join(known[:5])}"
                f"{', …' if len(known) > 5 else ''}); set symbol to one of them, or, where they are the contracts of "
                f"one series, columns: {{contract: {layout.symbol}}}"
            )
        return table, ""
    keep = np.asarray(symbols.to_pandas() == options.symbol, dtype=bool)
    if not keep.any():
        raise DataError(f"{table.path} has no rows of symbol {options.symbol!r}; it holds {', '.join(known[:5])}")
    return table.select(keep), f" of {options.symbol}"


def _bar_length(instants: NDArray[np.int64], *, certain: bool, table: Table) -> pd.Timedelta | None:
    """The most common step between times, the smallest of equally common ones; None where the times keep to none."""
    steps, counts = np.unique(np.diff(np.unique(instants[instants != NAT])), return_counts=True)
    if len(steps):
        step = int(steps[np.argmax(counts)])
        if _on_grid(instants, step):
            return pd.Timedelta(step, unit="ns")
    if certain:
        raise DataError(
            f"{table.path}: bars are labelled by their close, and the file's times do not tell how long a bar is; "
            "set bar, such as bar: 5min"
        )
    return None


def _on_grid(instants: NDArray[np.int64], step: int) -> bool:
    # A few odd steps are early closes and daylight saving.
    steps = np.diff(np.unique(instants[instants != NAT]))
    return len(steps) == 0 or bool(np.mean(steps % step == 0) >= 0.9)


def _spoken(length: pd.Timedelta | None) -> str:
    if length is None:
        return ""
    seconds = length.total_seconds()
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds % size == 0:
            return f"{seconds / size:g}-{unit} "
    return f"{seconds:g}-second "
