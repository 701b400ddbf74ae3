"""A file format, and a file of it that is opened: its columns, and how to read some of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.columns import bare_name
from pipeline.market.readers.limits import MAX_COLUMNS, MAX_ROWS
from pipeline.market.readers.options import Label, ReadOptions
from pipeline.market.readers.table import Table
from pipeline.market.readers.text import split_line

__all__ = ["Format", "Habits", "Head", "Source", "columns_source", "damaged", "refuse_size"]


@dataclass(frozen=True)
class Head:
    """A file's beginning, to recognise its format by.

    Attributes
    ----------
    path
        The file.
    data
        Its first bytes, unpacked, UTF-8 where they are text.
    lines
        Of text, the table's lines among them, from the names of columns or the first row on.
    """

    path: Path
    data: bytes
    lines: Sequence[str]

    @cached_property
    def fields(self) -> list[str]:
        """The fields of the table's first line."""
        return split_line(self.lines[0]) if self.lines else []

    @cached_property
    def names(self) -> set[str]:
        """The fields of the table's first line without case, spaces and punctuation."""
        return {bare_name(field) for field in self.fields}


@dataclass(frozen=True)
class Habits:
    """Habits of a format that its files don't tell; the user's options take precedence.

    Attributes
    ----------
    time_zone, label, decimal, columns, volume_columns
        As :class:`ReadOptions` has them.
    day_first
        Whether the day comes first in dates such as 01.03.2022.
    contract
        The contract of all rows, where the file's name tells it.
    order_assumed
        Whether names were given to columns by the order that most vendors keep to, which the prices have to confirm.
    fixed_point
        Whether prices that are whole numbers count billionths.
    """

    time_zone: str | None = None
    label: Label = "open"
    decimal: Literal[".", ","] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    volume_columns: tuple[str, ...] = ()
    day_first: bool | None = None
    contract: str | None = None
    order_assumed: bool = False
    fixed_point: bool = False


NO_HABITS = Habits()


@dataclass(frozen=True)
class Source:
    """An opened file.

    Attributes
    ----------
    path, names
        The file, and its columns in order, made distinct.
    tables
        Reads some of the columns: all rows at once, or in tables of about so many rows; with each the share of the
        file's bytes read by then.
    habits
        Those of its format.
    """

    path: Path
    names: tuple[str, ...]
    tables: Callable[[Sequence[str], int | None], Iterator[tuple[Table, float]]]
    habits: Habits = NO_HABITS


@dataclass(frozen=True)
class Format:
    """A file format.

    A module of :mod:`pipeline.market.readers.formats` that has one as ``FORMAT`` is found automatically.

    Attributes
    ----------
    name
        What :class:`ReadOptions` and messages call it.
    recognises
        Whether a file is of this format, by its beginning. Cheap.
    open
        Opens one file; raises :class:`DataError` for what can't be read.
    priority
        Which format is asked first: the particular ones (50), then any table without names (80) and with names (90).
    suffixes
        What the names of such files end in, for folders; ``.gz`` and ``.zst`` may follow.
    """

    name: str
    recognises: Callable[[Head], bool]
    open: Callable[[Path, ReadOptions], Source]
    priority: int = 50
    suffixes: tuple[str, ...] = (".csv", ".tsv", ".txt")


def columns_source(
    path: Path,
    names: Sequence[str],
    read: Callable[[Sequence[str]], Mapping[str, pa.ChunkedArray]],
    lines: int | NDArray[np.int64],
    *,
    notes: Mapping[str, int] | None = None,
    habits: Habits = NO_HABITS,
) -> Source:
    """A file whose columns are read each on its own, all rows at once.

    Parameters
    ----------
    path, names
        The file, and its columns.
    read
        Reads some of them.
    lines
        Each row's number in the file, or how many rows there are, which then count from 1.
    notes
        What was left out, and how often.
    """
    numbers = np.arange(1, lines + 1, dtype=np.int64) if isinstance(lines, int) else lines

    def tables(needed: Sequence[str], rows: int | None) -> Iterator[tuple[Table, float]]:
        others = [name for name in names if name and name not in needed]
        yield Table(path, read(needed), numbers, "row", notes or {}, lambda: read(others)), 1.0

    return Source(path, tuple(names), tables, habits)


def refuse_size(path: Path, rows: int, columns: int) -> None:
    """Refuse a file without rows, and one that claims more than any of bars has: a few bytes may claim any number."""
    if rows > MAX_ROWS:
        raise DataError(f"{path} claims {rows:,} rows, over {MAX_ROWS:,}; split it")
    if columns > MAX_COLUMNS:
        raise DataError(f"{path} has {columns:,} columns, over {MAX_COLUMNS:,}; give a file of bars or trades")
    if rows == 0:
        raise DataError(f"{path} is empty; give a file that holds rows")


def damaged(path: Path, kind: str, error: Exception, remedy: str) -> DataError:
    """Say that a library can't read a file, with its reason in one line."""
    reason = str(error).split("\n")[0].strip().rstrip(".")[:200]
    return DataError(f"{path} is an incomplete or damaged {kind} ({reason}); {remedy}")
