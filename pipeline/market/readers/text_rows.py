"""Lines of text as rows: fields between delimiters, read column by column, every row with its line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.beginning import HASH, MARK
from pipeline.market.readers.options import to_set
from pipeline.market.readers.table import Table
from pipeline.market.readers.text import read_rows

__all__ = ["TextRows"]

_COMMENT = re.compile(HASH.encode())


@dataclass(frozen=True)
class TextRows:
    """Whole lines of a text file.

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

    def _rows_only(self) -> tuple["TextRows", NDArray[np.int64]]:
        kept, notes = [], dict(self.notes)
        lines = self.data.split(b"\n")
        for number, line in enumerate(lines):
            bare = line.strip()
            what = (
                "repeated line of names"
                if self.header and MARK.sub(b"", bare) == self.header
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
