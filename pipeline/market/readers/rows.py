"""The rows of one file, table after table: of one symbol, with their times and numbers."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.market.readers.columns import Kind, match_columns
from pipeline.market.readers.databento_records import in_units, is_databento
from pipeline.market.readers.numbers import NO_MARKS, NumberStyle, number_styles, read_numbers
from pipeline.market.readers.options import TextOptions
from pipeline.market.readers.source import Source
from pipeline.market.readers.symbols import OneSymbol
from pipeline.market.readers.table import Table
from pipeline.market.readers.times import Instants, read_instants

__all__ = ["Progress", "RowReader", "tables_of_files"]

Progress = Callable[[int, float], None]  # rows so far, share of the bytes read
_PRICES = ("open", "high", "low", "close", "price")
_Reader = TypeVar("_Reader", bound="RowReader")


class RowReader:
    """Reads the rows of one file; the first table shows for all of them how numbers are written.

    Parameters
    ----------
    source, options
        The file, and the user's options for it, which take precedence over the format's habits.
    kind
        What its rows are.
    symbols
        Whose rows are taken, in this file and those before it.

    Raises
    ------
    DataError
        If a column of such rows is missing.
    """

    def __init__(self, source: Source, options: TextOptions, kind: Kind, symbols: OneSymbol) -> None:
        self.source, self.options, self.symbols = source, options, symbols
        habits = source.habits
        parts: Sequence[str] = getattr(options, "volume_columns", ())
        given = {**habits.columns, **options.columns}
        if parts and "volume" not in options.columns:
            given.pop("volume", None)
        elif "volume" not in given:
            parts = habits.volume_columns
        self.layout = match_columns(source.path, source.names, kind, given, parts)
        self.styles: Mapping[str, NumberStyle] | None = None

    def tables(self, rows: int | None) -> Iterator[tuple[Table, float]]:
        """The rows of one symbol, prices in units, all at once or about so many at a time; none where all are others'.

        With each table the share of the file read by then.
        """
        names, layout = self.source.names, self.layout
        prices = [layout.columns[ours] for ours in _PRICES if ours in layout.columns]
        for table, share in self.source.tables(layout.needed, rows):
            ours = self.symbols.rows(table, layout.symbol)
            yield in_units(ours, prices) if self.source.habits.fixed_point or is_databento(names) else ours, share

    def instants(self, table: Table) -> Instants:
        """The times of a table's rows."""
        habits, options = self.source.habits, self.options
        return read_instants(
            table,
            self.layout.time,
            options.time_zone or habits.time_zone or _zone_in_name(self.layout.time),
            options.time_format,
            day_first=habits.day_first,
        )

    def numbers(self, table: Table, columns: Mapping[str, str]) -> dict[str, NDArray[np.float64]]:
        """Columns of numbers by our names; NaN where a cell is empty."""
        if self.styles is None:
            decimal = self.options.decimal or self.source.habits.decimal
            self.styles = number_styles(table, columns, decimal)
        styles = self.styles
        return {ours: read_numbers(table, theirs, styles.get(ours, NO_MARKS)) for ours, theirs in columns.items()}


def _zone_in_name(columns: tuple[str, ...]) -> str | None:
    """UTC where a column of times is called so: ``Gmt time``, ``time_utc``; not ``UTC+1``, whatever its minus."""
    called = any(re.search(r"(?i)(?<![a-z])(utc|gmt)(?![a-z]| ?\(?[+\-−–] ?\d)", name) for name in columns)
    return "UTC" if called else None


def tables_of_files(
    files: Sequence[Path], reader: Callable[[Path], _Reader], chunk_rows: int, progress: Progress | None
) -> Iterator[tuple[_Reader, Table]]:
    """The tables of files one after the other, each with its reader.

    Parameters
    ----------
    files, reader
        The files, and what opens one.
    chunk_rows
        Rows of a table; those of text are as many as fit as many times 48 bytes.
    progress
        Called after every table with the rows so far and the share of the bytes read (0 to 1).
    """
    if chunk_rows < 1:
        raise ConfigurationError(f"chunk_rows is {chunk_rows}; a chunk has 1 row or more")
    sizes = [file.stat().st_size for file in files]
    done = rows = 0
    for file, size in zip(files, sizes, strict=True):
        rows_of_file = reader(file)
        for table, share in rows_of_file.tables(chunk_rows):
            yield rows_of_file, table
            rows += len(table.lines)
            if progress is not None and len(table.lines):
                progress(rows, (done + share * size) / max(sum(sizes), 1))
        done += size
    rows_of_file.symbols.refuse_absent(file)
