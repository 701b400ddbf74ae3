"""A file's columns as they stand in it, with the line each row came from."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import DataError

__all__ = ["Table", "is_text", "said_left_out", "texts_of"]

EMPTY_WORDS = ("", "nan", "null", "none", "na", "n/a", "#n/a", "nat")


@dataclass(frozen=True)
class Table:
    """Columns of one file.

    Attributes
    ----------
    path
        The file.
    columns
        By their name in the file; each of shape (n,).
    lines
        Per row, its line in a text file or its row elsewhere, counted from 1, shape (n,).
    unit
        What ``lines`` counts.
    notes
        What was left out on reading, and how often.
    unread
        Reads the file's other columns, where that can be done.
    """

    path: Path
    columns: Mapping[str, pa.ChunkedArray]
    lines: NDArray[np.int64]
    unit: Literal["line", "row"]
    notes: Mapping[str, int] = field(default_factory=dict)
    unread: Callable[[], Mapping[str, pa.ChunkedArray]] = dict

    def where(self, row: int, column: str) -> str:
        """Locate a cell, for the beginning of an error message."""
        return f"{self.path}, {self.unit} {self.lines[row]}, column {column!r}"

    def cell(self, row: int, column: str) -> str:
        """Return the content of a cell as text."""
        value = self.columns[column][row]
        try:
            return str(value.as_py())
        except OverflowError:  # a date Python has no word for
            return str(value.cast(pa.string()).as_py())

    def select(self, keep: NDArray[np.bool_]) -> "Table":
        """The rows where ``keep`` is true."""
        mask = pa.array(keep)

        def kept(columns: Mapping[str, pa.ChunkedArray]) -> dict[str, pa.ChunkedArray]:
            return {name: each.filter(mask) for name, each in columns.items()}

        return replace(self, columns=kept(self.columns), lines=self.lines[keep], unread=lambda: kept(self.unread()))

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column of numbers as float64; NaN where a cell is empty. Text is :mod:`readers.numbers`' to read.

        Raises
        ------
        DataError
            For a column of something else.
        """
        values = _plain(self.columns[column])
        kind = values.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return _floats(values.cast(pa.float64(), safe=False))
        if pa.types.is_null(kind):
            return np.full(len(values), np.nan)
        raise DataError(f"{self.path}, column {column!r} holds {kind}, not numbers; name the right column in columns")

    def texts(self, column: str) -> pa.ChunkedArray:
        """A column as trimmed strings; null where a cell is empty or says so (``NaN``, ``null``, ``NA``)."""
        return texts_of(self.columns[column])


def texts_of(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as trimmed strings; null where a cell is empty or says so (``NaN``, ``null``, ``NA``)."""
    trimmed = pc.utf8_trim_whitespace(_plain(values).cast(pa.string()))
    empty = pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(EMPTY_WORDS))
    return pc.if_else(empty, pa.scalar(None, pa.string()), trimmed)


def said_left_out(what: str, count: int) -> str:
    """Say what was left out on reading: the kind of line or row, as :attr:`Table.notes` has it, and how many."""
    many = re.sub(r"\b(line|row|comment)\b", r"\1s", what, count=1) if count > 1 else what
    return f"{count:,} {many}" + ("" if "skipped" in what else " left out")


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def is_text(kind: Any) -> bool:
    """Return True if an Arrow type is text, dictionary-encoded or not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _floats(values: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(values.fill_null(float("nan")).to_numpy(), dtype=np.float64)
