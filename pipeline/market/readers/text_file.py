"""Text files of fields between delimiters, read column by column, every row with its line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.beginning import HASH, MARK, beginning, is_aside, line_of_names
from pipeline.market.readers.columns import distinct_names, listed
from pipeline.market.readers.limits import MAX_COLUMNS, MAX_ROWS
from pipeline.market.readers.options import TextOptions, to_set
from pipeline.market.readers.table import Table
from pipeline.market.readers.text import (
    HEAD_BYTES,
    decoded,
    delimiter_of,
    filled_end,
    read_rows,
    refuse_long_lines,
    single_blanks,
    split_line,
)

__all__ = ["TextFile", "read_text"]

_COMMENT = re.compile(HASH.encode())
_MARK = re.compile(MARK.encode())


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

        Lines that are blank, comments (``#``, but not ``#N/A``) or the line of names again are left out, and counted.

        Raises
        ------
        DataError
            For a line with too few or too many fields.
        """
        text, lines = self, None
        if self._has_other_lines():
            text, lines = self._rows_only()
            if len(lines) == 0:
                nothing = {name: pa.chunked_array([], pa.string()) for name in names}
                return Table(self.path, nothing, lines, "line", notes=text.notes)
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
        lines = self._line_numbers(count) if lines is None else lines
        others = list(dict.fromkeys(name for name in text.names if name and name not in names))
        return Table(self.path, columns, lines, "line", text.notes, lambda: text._columns(others) if others else {})

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
                "repeated line of names"
                if self.header and _MARK.sub(b"", bare) == self.header
                else "comment"
                if _COMMENT.match(bare)
                else ""
            )
            if what:
                notes[what] = notes.get(what, 0) + 1
            elif bare:
                kept.append(number)
        data = b"\n".join([lines[number] for number in kept])
        return replace(self, data=data, notes=notes), np.array(kept, dtype=np.int64) + self.first_line

    def _refuse_uneven_lines(self, numbers: NDArray[np.int64]) -> None:
        lines = self.data.decode("utf-8").split("\n")
        for number, line in zip(numbers, lines, strict=True):
            fields = next(read_rows([line], self.delimiter), [])
            if len(fields) != len(self.names):
                many = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
                end = f", or {to_set('skip_footer', '1')}" if number == numbers[-1] and len(numbers) > 1 else ""
                if number == numbers[0] == self.first_line and not self.header:  # the user has named the columns
                    end = f", or {to_set('skip_rows', str(number))}"
                raise DataError(
                    f"{self.path}, line {number}: {many} where {len(self.names)} are expected "
                    f"({line.strip()[:60]!r}); fix or remove the line{end}"
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
        The file, and the user's options for it.
    names
        The format's names of the columns, where its files have no line of them.
    delimiter
        The format's, where the user gives none.
    more_names
        Lines below that of the names which are not rows.

    Raises
    ------
    DataError
        If the file is empty, is not text, or has no rows.
    """
    data = decoded(path)
    refuse_long_lines(path, data, 1)
    if data.count(b"\n") > MAX_ROWS:
        raise DataError(f"{path} has more than {MAX_ROWS:,} lines; split it")
    end = filled_end(data)
    if end == 0:
        raise DataError(f"{path} is empty; give a file that holds bars")
    given = options.names or names
    # Places instead of parts, as each part of a large text would be a copy of it.
    skipped = _after_lines(data, 0, options.skip_rows)
    unskipped = options.model_copy(update={"skip_rows": 0})
    start = beginning(data[skipped : skipped + HEAD_BYTES], unskipped, named=given is None)
    begin = _after_lines(data, skipped, start.before)
    for _ in range(options.skip_footer):
        end = filled_end(data, max(data.rfind(b"\n", 0, end), 0))
    if begin >= end:
        what = "skip_rows and skip_footer leave" if options.skip_rows or options.skip_footer else "its comments leave"
        raise DataError(f"{path}: {what} nothing of the file; give a file that holds bars")
    first_line, notes = 1 + options.skip_rows + start.before, start.left_out(options)
    header = _line(data, begin, end)
    by = options.delimiter or delimiter
    if given is not None:
        by = by or delimiter_of(header.decode("utf-8"))
        rows = single_blanks(data[begin:end]) if by == " " else data[begin:end]
        return TextFile(path, _fitted(given, rows, by), by, rows, first_line, notes=notes)
    row = next((line for line in start.lines[1 + more_names :] if not is_aside(line)), "")
    written = line_of_names(header.decode("utf-8"), row, by)
    by = by or delimiter_of(written)
    found = [name.strip('"') for name in split_line(written, by)]
    if not found:
        raise DataError(
            f"{path}, line {first_line}: {written[:60]!r} can't be split into names of columns; fix its quotes"
        )
    if len(found) > MAX_COLUMNS:
        raise DataError(f"{path} has {len(found):,} columns, over {MAX_COLUMNS:,}; give a file of bars")
    if len(found) > 1 and row and by not in row:
        fields = len(split_line(row, options.delimiter))
        raise DataError(
            f"{path}, line {first_line}: {len(found)} names of columns ({listed(found)}), and {fields} "
            f"field{'s' * (fields > 1)} in the rows below; " + to_set("names", "NAME,NAME,...") + " in their order"
        )
    begin = _after_lines(data, begin, 1 + more_names)
    if begin >= end:
        raise DataError(f"{path} has a header and no rows; give a file that holds bars")
    rows, header = data[begin:end], _MARK.sub(b"", header.strip())
    if by == " ":
        rows, header = single_blanks(rows), single_blanks(header)
    return TextFile(
        path, _fitted(distinct_names(found), rows, by), by, rows, first_line + 1 + more_names, header, notes
    )


def _line(data: bytes, begin: int, end: int) -> bytes:
    stop = data.find(b"\n", begin, end)
    return data[begin : end if stop < 0 else stop]


def _after_lines(data: bytes, position: int, count: int) -> int:
    for _ in range(count):
        position = data.find(b"\n", position) + 1 or len(data)
    return position


def _fitted(names: Sequence[str], rows: bytes, delimiter: str) -> tuple[str, ...]:
    """The names, and one for the empty field behind a delimiter that ends each row."""
    row = _line(rows, 0, len(rows))
    fields = next(read_rows([row.decode("utf-8").rstrip("\r")], delimiter), [])
    extra = len(fields) == len(names) + 1 and not fields[-1].strip()
    return (*names, "") if extra else tuple(names)
