"""Tables from files larger than memory, some rows at a time: Parquet, and text with or without a line of names."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from pipeline.errors import DataError
from pipeline.market.readers.beginning import beginning
from pipeline.market.readers.columns import distinct_names
from pipeline.market.readers.limits import MAX_COLUMNS, MAX_LINE_BYTES, MIB
from pipeline.market.readers.options import TextOptions, to_set
from pipeline.market.readers.packed import Unpacked, unpacked
from pipeline.market.readers.table import Table
from pipeline.market.readers.text import (
    BOM,
    check_text,
    delimiter_of,
    head_lines,
    is_number,
    is_utf16,
    read_head,
    split_line,
    without_blank_end,
)
from pipeline.market.readers.text_file import TextFile

__all__ = ["ChunkedFile", "Progress", "open_chunks"]

Progress = Callable[[int, float], None]  # rows so far, share of the bytes read

_ROW_BYTES = 48  # a guess at a line's length, for chunks of about as many rows as asked for
_DEFAULTS = TextOptions()


@dataclass(frozen=True)
class ChunkedFile:
    """A file whose rows come in chunks.

    Attributes
    ----------
    path
        The file.
    names
        Its columns, in order.
    delimiter
        What stands between a text's fields; None for Parquet.
    before
        Lines of a text above its first row.
    footer
        Filled lines below its last row.
    header
        The line of names, which may come again; empty where there is none.
    left_out
        Lines above the table and at the end that are left out, and how many.
    """

    path: Path
    names: tuple[str, ...]
    delimiter: str | None
    before: int = 0
    footer: int = 0
    header: bytes = b""
    left_out: Mapping[str, int] = field(default_factory=dict)

    def tables(self, needed: Sequence[str], chunk_rows: int) -> Iterator[tuple[Table, float]]:
        """Some of the columns, in tables of about ``chunk_rows`` rows, and the share of the file read by then.

        Raises
        ------
        DataError
            For what can't be read, naming file and line; for a file without rows.
        """
        return self._parquet(needed, chunk_rows) if self.delimiter is None else self._text(needed, chunk_rows)

    def _parquet(self, needed: Sequence[str], chunk_rows: int) -> Iterator[tuple[Table, float]]:
        try:
            with pyarrow.parquet.ParquetFile(self.path, pre_buffer=False) as file:
                count = file.metadata.num_rows
                if count == 0:
                    raise DataError(f"{self.path} is empty; give a file that holds rows")
                done = 0
                for batch in file.iter_batches(batch_size=chunk_rows, columns=list(needed)):
                    columns = {name: pa.chunked_array([batch.column(name)]) for name in needed}
                    lines = np.arange(done + 1, done + batch.num_rows + 1, dtype=np.int64)
                    done += batch.num_rows
                    yield Table(self.path, columns, lines, "row"), done / count
        except (pa.ArrowException, OSError) as error:
            raise _not_parquet(self.path, error) from error

    def _text(self, needed: Sequence[str], chunk_rows: int) -> Iterator[tuple[Table, float]]:
        with unpacked(self.path) as file:
            for data, line in self._blocks(file, chunk_rows * _ROW_BYTES):
                text = TextFile(self.path, self.names, cast(str, self.delimiter), data, line, header=self.header)
                yield text.table(needed), file.share

    def _blocks(self, file: Unpacked, size: int) -> Iterator[tuple[bytes, int]]:
        """Whole lines of about ``size`` bytes, without the line break at their end, and the line they begin at."""
        rest, line, some = b"", 1, False
        while True:
            block = file.read(size)
            data = rest + block
            if line == 1:
                data = data.removeprefix(BOM)
            cut = _whole_lines(data, self.footer) if block else len(_without_lines(data, self.footer))
            data, rest = data[:cut], data[cut:]
            if len(rest) > max(MAX_LINE_BYTES * (self.footer + 1), size):
                at = line + data.count(b"\n")
                most = MAX_LINE_BYTES // MIB
                raise DataError(f"{self.path}, line {at}: longer than {most} MiB, so it is not a row; check the file")
            begin, line = line, line + data.count(b"\n")
            while begin <= self.before and data:
                data = data[data.find(b"\n") + 1 or len(data) :]
                begin += 1
            check_text(self.path, data, begin)
            data = without_blank_end(data)
            if data:
                some = True
                yield data, begin
            if not block:
                break
        if not some:
            raise DataError(f"{self.path} holds no rows; give a file that holds some")


def open_chunks(
    path: Path,
    options: TextOptions = _DEFAULTS,
    *,
    unnamed: Callable[[Sequence[str]], Sequence[str] | None] = lambda fields: None,
) -> ChunkedFile:
    """Look at a file's beginning: what its columns are called.

    Parameters
    ----------
    path
        Parquet, or text, also packed with gzip or Zstandard.
    options
        The user's options for the file.
    unnamed
        Names of the columns of a text whose first line are values; None where that is not known.

    Raises
    ------
    DataError
        For a file that is empty, is neither, or whose columns have no names.
    """
    head = read_head(path)
    if not head.strip():
        raise DataError(f"{path} is empty; give a file that holds rows")
    if head.startswith(b"PAR1") or path.suffix.lower() in (".parquet", ".pq"):
        try:
            return ChunkedFile(path, tuple(distinct_names(pyarrow.parquet.read_schema(path).names)), None)
        except (pa.ArrowException, OSError) as error:
            raise _not_parquet(path, error) from error
    with unpacked(path) as raw:
        if is_utf16(raw.read(256)):
            raise DataError(f"{path} is UTF-16 text; save the file as UTF-8")
    if not head_lines(head):
        raise DataError(f"{path} is neither text nor Parquet; give a file with rows and columns")
    start = beginning(head, options)
    if not start.lines:
        raise DataError(f"{path} holds no rows; give a file that holds some")
    by = options.delimiter or delimiter_of(start.lines[0])
    fields = split_line(start.lines[0], by)
    if len(fields) > MAX_COLUMNS:
        raise DataError(f"{path} has more than {MAX_COLUMNS:,} columns; give a file of trades or bars")
    if not fields:
        raise DataError(f"{path}, line {1 + start.before}: {start.lines[0][:60]!r} can't be split into fields")
    named = options.names is None and not is_number(fields[0])
    names = options.names if options.names is not None else fields if named else unnamed(fields)
    if names is None or start.lines[0].lstrip()[:1] in ("[", "{"):
        raise DataError(
            f"{path}, line {1 + start.before}: {start.lines[0].strip()[:80]!r} names no columns; "
            + to_set("names", "NAME,NAME,...")
        )
    header = start.lines[0].strip().encode() if named else b""
    plain = distinct_names([name.strip('"') for name in names])
    return ChunkedFile(
        path, tuple(plain), by, start.before + named, options.skip_footer, header, start.left_out(options)
    )


def _whole_lines(data: bytes, kept_back: int) -> int:
    """Return where the last whole line ends, or the line that many filled ones before it."""
    return data.rfind(b"\n", 0, len(_without_lines(data, kept_back))) + 1


def _without_lines(data: bytes, count: int) -> bytes:
    for _ in range(count):
        data = without_blank_end(data)
        data = data[: data.rfind(b"\n") + 1]
    return data


def _not_parquet(path: Path, error: Exception) -> DataError:
    reason = str(error).split("\n")[0].strip().rstrip(".")[:200]
    return DataError(f"{path} is an incomplete or damaged Parquet file ({reason}); download or write it again")
