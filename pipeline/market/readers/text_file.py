"""Text files of fields between delimiters, read column by column, every row with its line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.columns import distinct_names, names_of_prices
from pipeline.market.readers.limits import MAX_COLUMNS, MAX_ROWS
from pipeline.market.readers.options import TextOptions, to_set
from pipeline.market.readers.table import Table
from pipeline.market.readers.text import (
    HEAD_BYTES,
    decoded,
    delimiter_of,
    is_number,
    read_rows,
    refuse_long_lines,
    split_line,
    without_blank_end,
)

__all__ = ["Beginning", "TextFile", "beginning", "read_text"]

_LINES_BEFORE_NAMES = 30


class Beginning(NamedTuple):
    """How a text begins.

    Attributes
    ----------
    before
        Lines above the table: skipped because the user said so, because they are blank or comments, or because the
        names of columns come later.
    told
        How many of them were skipped unasked and not blank.
    lines
        Of what was looked at, the lines of the table, from its names or first row on.
    """

    before: int
    told: int
    lines: list[str]


def beginning(head: bytes, options: TextOptions, *, named: bool = True) -> Beginning:
    """Where the table begins in a text's first bytes: below comments, an address, and other lines above the names."""
    text = head.decode("utf-8", errors="replace")
    lines = text.split("\n" if "\n" in text else "\r")
    before = min(options.skip_rows, len(lines))
    start = _next_row(lines, before)
    if named and options.names is None:
        for place in range(start, min(len(lines), start + _LINES_BEFORE_NAMES)):
            if names_of_prices(split_line(lines[place], options.delimiter)):
                start = place
                break
            if _is_row(lines[place], options.delimiter):
                break  # numbers already: what stands above them is all there is of names
    told = sum(bool(line.strip()) for line in lines[before:start])
    return Beginning(start, told, [line for line in lines[start:] if line.strip()])


def _next_row(lines: Sequence[str], start: int) -> int:
    """The next line that is neither blank nor a comment nor an address."""
    for place in range(start, len(lines)):
        text = lines[place].strip()
        if text and not re.match(r"#|//|https?://|(?i:sep=.$)", text):
            return place
    return len(lines)


def _is_row(line: str, delimiter: str | None) -> bool:
    fields = split_line(line, delimiter)
    return len(fields) > 3 and sum(is_number(each) for each in fields) > len(fields) / 2


@dataclass(frozen=True)
class TextFile:
    """A text of fields.

    Attributes
    ----------
    path
        The file.
    names
        Its columns, in order, made distinct.
    delimiter
        What stands between fields.
    data
        The rows, without the line of names.
    first_line
        Line of the file at which ``data`` begins, from 1.
    header
        The line of names, which may come again among the rows; empty where there is none.
    notes
        What was left out so far, in words.
    """

    path: Path
    names: tuple[str, ...]
    delimiter: str
    data: bytes
    first_line: int
    header: bytes = b""
    notes: Mapping[str, int] = field(default_factory=dict)

    def table(self, names: Sequence[str]) -> Table:
        """Some of the columns, as strings.

        Lines that are blank, comments (``#``) or the line of names again are left out, and counted.

        Raises
        ------
        DataError
            For a line with too few or too many fields.
        """
        text, lines = self, None
        if self._has_other_lines():
            text, lines = self._rows_only()
        try:
            columns = text._columns(names)
            rows = len(next(iter(columns.values())))
        except pa.ArrowInvalid:
            # A line of blanks only, or a faulty line: found only now, as looking at every line is slow.
            text, lines = self._rows_only()
            text._refuse_uneven_lines(lines)
            columns = text._try_columns(names)
            rows = len(next(iter(columns.values())))
        count = text.data.count(b"\n") + 1  # the last one ends with the text
        if rows != count:
            text._refuse_uneven_lines(self._line_numbers(count) if lines is None else lines)
            raise DataError(f"{self.path} has {count} lines but {rows} rows; quoted fields must end on their line")
        return Table(
            self.path, columns, self._line_numbers(count) if lines is None else lines, "line", notes=text.notes
        )

    def _has_other_lines(self) -> bool:
        data = self.data
        return (
            data[:1] in (b"\n", b"\r", b"#")
            or any(mark in data for mark in (b"\n\n", b"\n\r\n", b"\n#"))
            or (bool(self.header) and self.header in data)
        )

    def _line_numbers(self, count: int) -> NDArray[np.int64]:
        return np.arange(self.first_line, self.first_line + count, dtype=np.int64)

    def _columns(self, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        positions = [self.names.index(name) for name in names]
        table = pyarrow.csv.read_csv(
            pa.BufferReader(self.data),
            read_options=pyarrow.csv.ReadOptions(
                column_names=[str(each) for each in range(len(self.names))], block_size=1 << 22
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=self.delimiter, ignore_empty_lines=False),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=[str(each) for each in positions],
                column_types={str(each): pa.string() for each in positions},
                strings_can_be_null=False,
            ),
        )
        return {name: table.column(i) for i, name in enumerate(names)}

    def _try_columns(self, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        try:
            return self._columns(names)
        except pa.ArrowInvalid as error:
            raise DataError(f"{self.path} can't be split into fields: {' '.join(str(error).split())}") from error

    def _rows_only(self) -> tuple["TextFile", NDArray[np.int64]]:
        kept, notes = [], dict(self.notes)
        lines = self.data.split(b"\n")
        for number, line in enumerate(lines):
            bare = line.strip()
            what = (
                "comment"
                if bare.startswith(b"#")
                else "repeated line of names"
                if self.header and bare == self.header
                else ""
            )
            if what:
                notes[what] = notes.get(what, 0) + 1
            elif bare:
                kept.append(number)
        data = b"\n".join([lines[number] for number in kept])
        if not kept:
            raise DataError(f"{self.path} has a line of column names and no rows; give a file that holds some")
        return replace(self, data=data, notes=notes), np.array(kept, dtype=np.int64) + self.first_line

    def _refuse_uneven_lines(self, numbers: NDArray[np.int64]) -> None:
        lines = self.data.decode("utf-8").split("\n")
        for number, line in zip(numbers, lines, strict=True):
            fields = next(read_rows([line], self.delimiter), [])
            if len(fields) != len(self.names):
                many = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
                end = f", or {to_set('skip_footer', '1')}" if number == numbers[-1] and len(numbers) > 1 else ""
                raise DataError(
                    f"{self.path}, line {number}: {many} where {len(self.names)} are expected "
                    f"({line.strip()[:60]!r}); mend or remove the line{end}"
                )


def read_text(
    path: Path,
    options: TextOptions,
    *,
    names: Sequence[str] | None = None,
    delimiter: str | None = None,
    more_names: int = 0,
) -> TextFile:
    """Open a text file of fields.

    Parameters
    ----------
    path, options
        The file, and what the user said of it.
    names
        The format's names of the columns, where its files have no line of them.
    delimiter
        The format's, where the user gives none.
    more_names
        Lines below that of the names which are no rows.

    Raises
    ------
    DataError
        If the file is empty, is not text, or has no rows.
    """
    data = decoded(path)
    refuse_long_lines(path, data, 1)
    if data.count(b"\n") > MAX_ROWS:
        raise DataError(f"{path} has more than {MAX_ROWS:,} lines; split it")
    if not data.strip():
        raise DataError(f"{path} is empty; give a file that holds bars")
    given = options.names or names
    data, first_line, notes = _table_of(path, without_blank_end(data), options, named=given is None)
    by = options.delimiter or delimiter
    header, _, rows = data.partition(b"\n")
    if given is not None:
        by = by or delimiter_of(header.decode("utf-8"))
        return TextFile(path, _fitted(given, header, by), by, data, first_line, notes=notes)
    text = header.decode("utf-8").strip()
    by = by or delimiter_of(text)
    found = [name.strip('"') for name in split_line(text, by)]
    for _ in range(more_names):
        rows = rows.partition(b"\n")[2]
    if not rows.strip():
        raise DataError(f"{path} has a line of column names and no rows; give a file that holds bars")
    if len(found) > MAX_COLUMNS:
        raise DataError(f"{path} has {len(found):,} columns, over {MAX_COLUMNS:,}; give a file of bars")
    names = _fitted(distinct_names(found), rows.partition(b"\n")[0], by)
    return TextFile(path, names, by, rows, first_line + 1 + more_names, header=header.strip(), notes=notes)


def _table_of(path: Path, data: bytes, options: TextOptions, *, named: bool) -> tuple[bytes, int, dict[str, int]]:
    """The table in a text, the line it begins at, and what was left out around it."""
    skipped = _after_lines(data, 0, options.skip_rows)
    start = beginning(data[skipped : skipped + HEAD_BYTES], options.model_copy(update={"skip_rows": 0}), named=named)
    data = data[_after_lines(data, skipped, start.before) :]
    for _ in range(options.skip_footer):
        data = without_blank_end(data[: max(data.rfind(b"\n"), 0)])
    if not data.strip():
        what = "skip_rows and skip_footer leave" if options.skip_rows or options.skip_footer else "its comments leave"
        raise DataError(f"{path}: {what} nothing of the file; give a file that holds bars")
    left_out = {
        "line skipped at the beginning": options.skip_rows,
        "line above the table": start.told,
        "line skipped at the end": options.skip_footer,
    }
    return data, 1 + options.skip_rows + start.before, {what: count for what, count in left_out.items() if count}


def _after_lines(data: bytes, position: int, count: int) -> int:
    for _ in range(count):
        position = data.find(b"\n", position) + 1 or len(data)
    return position


def _fitted(names: Sequence[str], row: bytes, delimiter: str) -> tuple[str, ...]:
    """The names, and one for the empty field behind a delimiter that ends each row."""
    fields = next(read_rows([row.decode("utf-8").rstrip("\r")], delimiter), [])
    extra = len(fields) == len(names) + 1 and not fields[-1].strip()
    return (*names, "") if extra else tuple(names)
