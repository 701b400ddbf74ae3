"""Text files of fields between delimiters, read column by column, every row with its line."""

import csv
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.table import Table

__all__ = [
    "TextFile",
    "head_lines",
    "is_number",
    "read_head",
    "read_text",
    "split_line",
    "text_of",
    "without_blank_end",
]

HEAD_BYTES = 64 * 1024
MAX_BYTES = 2 * 1024**3  # decoded: decades of 1-minute bars, and an end to a file made to unpack without one

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = (",", ";", "\t", "|")


def read_head(path: Path) -> bytes:
    """The first bytes of a file, unpacked and as UTF-8 where it is text."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    if head.startswith(_GZIP):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
        except zlib.error as error:
            raise DataError(f"{path} is not whole gzip data ({error}); fetch it again") from error
    if head.startswith(_UTF16):
        return head[: len(head) // 2 * 2].decode("utf-16", errors="replace").encode()
    return head.removeprefix(_BOM)


def head_lines(head: bytes) -> list[str]:
    """The non-blank lines at the beginning of a text; none where it is not text."""
    if b"\0" in head:
        return []
    return [line for line in head.decode("utf-8", errors="replace").splitlines() if line.strip()]


def split_line(line: str, delimiter: str | None = None) -> list[str]:
    """A line's fields, trimmed; the delimiter is the most frequent of the usual ones where none is given."""
    by = delimiter or max(_DELIMITERS, key=line.count)
    fields = next(_rows([line], by), [])
    return [field.strip() for field in fields]


@dataclass(frozen=True)
class TextFile:
    """A text of fields.

    Attributes
    ----------
    path
        The file.
    names
        Its columns, in order.
    delimiter
        What stands between fields.
    data
        The rows, without the line of names.
    first_line
        Line of the file at which ``data`` begins, from 1.
    """

    path: Path
    names: tuple[str, ...]
    delimiter: str
    data: bytes
    first_line: int

    def table(self, names: Sequence[str]) -> Table:
        """Some of the columns, as strings.

        Raises
        ------
        DataError
            For a line with too few or too many fields.
        """
        data, lines = self.data, None
        if b"\n\n" in data or b"\n\r\n" in data or data[:1] in (b"\n", b"\r"):
            data, lines = self._without_blank_lines()
        try:
            columns = self._columns(data, names)
            rows = len(next(iter(columns.values())))
        except pa.ArrowInvalid:
            # A line of blanks only, or a faulty line: found only now, as looking at every line is slow.
            data, lines = self._without_blank_lines()
            self._refuse_uneven_lines(data, lines)
            columns = self._try_columns(data, names)
            rows = len(next(iter(columns.values())))
        count = data.count(b"\n") + 1  # the last one ends with the text
        if rows != count:
            self._refuse_uneven_lines(data, self._line_numbers(count) if lines is None else lines)
            raise DataError(f"{self.path} has {count} lines but {rows} rows; quoted fields must end on their line")
        return Table(self.path, columns, self._line_numbers(count) if lines is None else lines, "line")

    def _line_numbers(self, count: int) -> NDArray[np.int64]:
        return np.arange(self.first_line, self.first_line + count, dtype=np.int64)

    def _columns(self, data: bytes, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        positions = [self.names.index(name) for name in names]
        table = pyarrow.csv.read_csv(
            pa.BufferReader(data),
            read_options=pyarrow.csv.ReadOptions(column_names=[str(each) for each in range(len(self.names))]),
            parse_options=pyarrow.csv.ParseOptions(delimiter=self.delimiter, ignore_empty_lines=False),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=[str(each) for each in positions],
                column_types={str(each): pa.string() for each in positions},
                strings_can_be_null=False,
            ),
        )
        return {name: table.column(i) for i, name in enumerate(names)}

    def _try_columns(self, data: bytes, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        try:
            return self._columns(data, names)
        except pa.ArrowInvalid as error:
            raise DataError(f"{self.path} can't be split into fields: {' '.join(str(error).split())}") from error

    def _without_blank_lines(self) -> tuple[bytes, NDArray[np.int64]]:
        lines = self.data.split(b"\n")
        kept = [number for number, line in enumerate(lines) if line.strip()]
        return b"\n".join([lines[number] for number in kept]), np.array(kept, dtype=np.int64) + self.first_line

    def _refuse_uneven_lines(self, data: bytes, lines: NDArray[np.int64]) -> None:
        for number, line in zip(lines, data.decode("utf-8").split("\n"), strict=True):
            fields = next(_rows([line], self.delimiter), [])
            if len(fields) != len(self.names):
                many = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
                raise DataError(
                    f"{self.path}, line {number}: {many} where {len(self.names)} are expected "
                    f"({line.strip()[:60]!r}); mend or remove the line"
                )


def without_blank_end(data: bytes) -> bytes:
    """Without the blank lines at the end and the last line break; an empty field there, after a tab, stays."""
    filled = len(data.rstrip())
    end = data.find(b"\n", filled)
    return b"" if filled == 0 else (data if end < 0 else data[:end]).removesuffix(b"\r")


def read_text(path: Path, delimiter: str | None = None, header: Sequence[str] | None = None) -> TextFile:
    """Open a text file of fields; ``header`` names its columns where it has no line of names.

    Raises
    ------
    DataError
        If the file is empty, is not text, or has no rows.
    """
    data = _decoded(path)
    stripped = without_blank_end(data)
    if not stripped.strip():
        raise DataError(f"{path} is empty; give a file that holds bars")
    before = len(stripped) - len(stripped.lstrip())
    first_line = 1 + stripped[:before].count(b"\n")
    data = stripped[stripped.rfind(b"\n", 0, before) + 1 :]
    if header is not None:
        by = delimiter or max(_DELIMITERS, key=data.split(b"\n", 1)[0].decode().count)
        return TextFile(path, tuple(header), by, data, first_line)
    line, _, rows = data.partition(b"\n")
    text = line.decode("utf-8").strip()
    by = delimiter or max(_DELIMITERS, key=text.count)
    names = _distinct([name.strip().strip('"') for name in split_line(text, by)])
    if not rows:
        raise DataError(f"{path} has a line of column names and no rows; give a file that holds bars")
    return TextFile(path, tuple(names), by, rows, first_line + 1)


def _decoded(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} is larger than {MAX_BYTES // 1024**3} GiB; split it, or convert it to Parquet")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    if data.startswith(_GZIP):
        data = _unpacked(path, data)
    try:
        if data.startswith(_UTF16):
            data = data.decode("utf-16").encode()
        data = data.removeprefix(_BOM)
        data.decode("utf-8")
    except UnicodeError as error:
        line = data.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from error
    if (position := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, position) + 1
        raise DataError(f"{path}, line {line}: holds a zero byte, so it is no text file; give one of bars")
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    return data


def _unpacked(path: Path, data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(data, MAX_BYTES)
    except zlib.error as error:
        raise DataError(f"{path} is not whole gzip data ({error}); fetch it again") from error
    if unpacker.unconsumed_tail:
        raise DataError(f"{path} unpacks to more than {MAX_BYTES // 1024**3} GiB; split it, or convert it to Parquet")
    if not unpacker.eof:
        raise DataError(f"{path} is not whole gzip data (it ends early); fetch it again")
    return text


def _rows(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield []


def _distinct(names: Sequence[str]) -> list[str]:
    # Two columns of one name stay apart, so that choosing between them is an error that names both.
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return distinct


def is_number(text: str) -> bool:
    """Whether a field is a plain number."""
    return re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", text) is not None


def text_of(path: Path) -> str:
    """The whole file as text, unpacked and without a byte-order mark."""
    return io.TextIOWrapper(io.BytesIO(_decoded(path)), encoding="utf-8").read()
