"""Interface of a file format, and how its columns become raw bars."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.columns import Layout, bare_name
from pipeline.market.readers.contracts import ids_are_contracts
from pipeline.market.readers.numbers import NO_MARKS, NumberStyle, number_styles, read_numbers
from pipeline.market.readers.options import Label, ReadOptions, to_set
from pipeline.market.readers.series import refuse_several_series
from pipeline.market.readers.symbols import of_one_symbol
from pipeline.market.readers.table import Table, said_left_out
from pipeline.market.readers.time_columns import NAT
from pipeline.market.readers.times import read_instants
from pipeline.shown import shown

__all__ = ["FileBars", "Format", "raw_bars"]


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
        The contract all rows are of, where the file's name gives it.
    styles
        How its columns write numbers, by our names.
    """

    frame: pd.DataFrame
    reading: str
    contract: str | None
    styles: Mapping[str, NumberStyle] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A file format.

    A module of this package that has one as ``FORMAT`` is found automatically.

    Attributes
    ----------
    name
        What :class:`ReadOptions` and messages call it.
    recognises
        From a path and its first bytes (unpacked, UTF-8 where text, from the table's first line on), whether a file
        is of this format. Cheap.
    read
        The raw bars of one file; raises :class:`DataError` for what can't be read.
    priority
        Which format is asked first: the particular ones (50), then any table without names (80) and with names (90).
    suffixes
        What the names of such files end in, for folders; ``.gz`` and ``.zst`` may follow.
    """

    name: str
    recognises: Callable[[Path, bytes], bool]
    read: Callable[[Path, ReadOptions], FileBars]
    priority: int = 50
    suffixes: tuple[str, ...] = (".csv", ".tsv", ".txt")


def raw_bars(
    table: Table,
    layout: Layout,
    options: ReadOptions,
    *,
    time_zone: str | None = None,
    label: Label = "open",
    contract: str | None = None,
    day_first: bool | None = None,
    decimal: Literal[".", ","] | None = None,
    styles: Mapping[str, NumberStyle] | None = None,
) -> FileBars:
    """A table's rows as raw bars: times in UTC and at the bars' open, numbers as float64.

    Parameters
    ----------
    table, layout
        The file's columns, and which of them is which of ours.
    options
        The user's options, which take precedence over the format's habits.
    time_zone, label, day_first, decimal
        The format's habits.
    contract
        The contract all rows are of, where the file's name tells and no column does.
    styles
        How the columns write numbers, where earlier rows of the file have shown it.
    """
    if len(table.lines) == 0:
        raise DataError(f"{table.path} has a header and no rows; give a file that holds bars")
    table, of_symbol = of_one_symbol(table, layout.symbol, options.file_symbol)
    instants = read_instants(
        table,
        layout.time,
        options.time_zone or time_zone or _zone_in_name(layout.time),
        options.time_format,
        day_first=day_first,
    )
    side = options.label or label
    length = options.bar_length
    if length is None:
        length = _bar_length(instants.nanoseconds, certain=side == "close", table=table)
    elif not _on_grid(instants.nanoseconds, length.value):
        raise DataError(
            f"{table.path}: bar is {options.bar}, but the file's times do not fit it; " + to_set("bar", "5min")
        )
    opens = instants.nanoseconds
    if side == "close" and length is not None:
        opens = np.where(opens == NAT, NAT, opens - length.value)
    ids = layout.columns.get("contract", "")
    doubtful = bare_name(ids) == "instrumentid" and "contract" not in options.columns
    if doubtful and not ids_are_contracts(table.texts(ids), opens):
        columns = {ours: theirs for ours, theirs in layout.columns.items() if ours != "contract"}
        layout = replace(layout, columns=columns)
    if styles is None:
        numeric = {ours: theirs for ours, theirs in layout.columns.items() if ours != "contract"}
        numeric.update(_parts(layout))
        styles = number_styles(table, numeric, options.decimal or decimal)
    frame = pd.DataFrame({"timestamp": pd.DatetimeIndex(opens.view("M8[ns]"), tz="UTC")})
    for ours, theirs in layout.columns.items():
        if ours == "contract":
            contracts = table.texts(theirs)
            if contracts.null_count < len(contracts):  # a column of nothing tells nothing
                frame[ours] = pd.Series(contracts.to_pandas(), dtype="str")
        else:
            frame[ours] = read_numbers(table, theirs, styles.get(ours, NO_MARKS))
    if "contract" not in options.columns:
        refuse_several_series(table, frame, ids or None)
    if layout.volume_parts:
        volumes = [read_numbers(table, each, styles.get(part, NO_MARKS)) for part, each in _parts(layout).items()]
        frame.insert(5, "volume", np.sum(volumes, axis=0))
    told_by_name = contract is not None and "contract" not in frame
    if told_by_name:
        frame["contract"] = pd.Series(contract, index=frame.index, dtype="str")
    frame["source_file"] = pd.Series(shown(str(table.path)), index=frame.index, dtype="str")
    frame["source_line"] = table.lines
    parts = [
        f"{_spoken(length)}bars{of_symbol}",
        instants.reading,
        "labelled by their open" if side == "open" else "labelled by their close and shifted to their open",
        layout.renamed,
        *_unusual(styles),
        *(said_left_out(what, count) for what, count in table.notes.items()),
    ]
    return FileBars(frame, shown(", ".join(filter(None, parts))), contract if told_by_name else None, styles)


def _parts(layout: Layout) -> dict[str, str]:
    return {f"volume {place}": each for place, each in enumerate(layout.volume_parts, start=1)}


def _zone_in_name(columns: tuple[str, ...]) -> str | None:
    """UTC where a column of times is called so: ``Gmt time``, ``time_utc``; not ``UTC+1``, whatever its minus."""
    called = any(re.search(r"(?i)(?<![a-z])(utc|gmt)(?![a-z]| ?\(?[+\-−–] ?\d)", name) for name in columns)
    return "UTC" if called else None


def _unusual(styles: Mapping[str, NumberStyle]) -> list[str]:
    alike: dict[NumberStyle, list[str]] = {}
    for ours, style in styles.items():
        alike.setdefault(style, []).append(ours)
    return [style.describe(", ".join(names)) for style, names in alike.items()]


def _bar_length(instants: NDArray[np.int64], *, certain: bool, table: Table) -> pd.Timedelta | None:
    """The most common step between times, the smallest of equally common ones; None where the times keep to none."""
    steps, counts = np.unique(np.diff(np.unique(instants[instants != NAT])), return_counts=True)
    if len(steps):
        step = int(steps[np.argmax(counts)])
        if _on_grid(instants, step):
            return pd.Timedelta(step, unit="ns")
    if certain:
        raise DataError(
            f"{table.path}: bars are labelled by their close, and the file's times do not show how long a bar is; "
            + to_set("bar", "LENGTH")
            + ", such as 5min"
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
