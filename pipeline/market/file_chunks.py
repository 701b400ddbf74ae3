"""Tables from files larger than memory, some rows at a time: Parquet, and text with a line of column names."""

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from pipeline.errors import DataError
from pipeline.market.readers.table import Table
from pipeline.market.readers.text import TextFile, head_lines, is_number, read_head, split_line, without_blank_end

__all__ = ["ChunkedFile", "Progress", "open_chunks"]

Progress = Callable[[int, float], None]  # rows so far, share of the bytes read

_GZIP = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = (",", ";", "\t", "|")
_ROW_BYTES = 48  # a guess at a line's length, for chunks of about as many rows as asked for
_LONGEST_LINE = 1 << 26


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
    named
        Whether a text begins with a line of its columns' names.
    """

    path: Path
    names: tuple[str, ...]
    delimiter: str | None
    named: bool

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
        size = self.path.stat().st_size
        with self.path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            file = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw
            for data, line in _blocks(self.path, file, chunk_rows * _ROW_BYTES, skip_names=self.named):
                text = TextFile(self.path, self.names, cast(str, self.delimiter), data, line)
                yield text.table(needed), raw.tell() / size


def open_chunks(
    path: Path,
    *,
    header: Sequence[str] | None = None,
    delimiter: str | None = None,
    unnamed: Callable[[Sequence[str]], Sequence[str] | None] = lambda fields: None,
) -> ChunkedFile:
    """Look at a file's beginning: what its columns are called.

    Parameters
    ----------
    path
        Parquet, or text, also packed with gzip.
    header, delimiter
        Of text: names of its columns where it has no line of names, and what stands between fields.
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
            return ChunkedFile(path, tuple(pyarrow.parquet.read_schema(path).names), None, True)
        except (pa.ArrowException, OSError) as error:
            raise _not_parquet(path, error) from error
    with path.open("rb") as raw:
        if raw.read(2) in _UTF16:
            raise DataError(f"{path} is UTF-16 text; save the file as UTF-8")
    lines = head_lines(head)
    if not lines:
        raise DataError(f"{path} is neither text nor Parquet; give a file with rows and columns")
    by = delimiter or max(_DELIMITERS, key=lines[0].count)
    fields = split_line(lines[0], by)
    named = header is None and not is_number(fields[0])
    names = header if header is not None else fields if named else unnamed(fields)
    if names is None or lines[0].lstrip()[:1] in ("[", "{"):
        raise DataError(
            f"{path}, line 1: {lines[0].strip()[:80]!r} names no columns; set header to the names of the columns"
        )
    return ChunkedFile(path, tuple(name.strip('"') for name in names), by, named)


def _blocks(path: Path, file: IO[bytes], size: int, *, skip_names: bool) -> Iterator[tuple[bytes, int]]:
    """Whole lines of about ``size`` bytes, without the line break at their end, and the line they begin at."""
    rest, line = b"", 1
    some = False
    while True:
        try:
            block = file.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"{path} is not whole gzip data ({error}); fetch it again") from error
        except OSError as error:
            raise DataError(f"{path} can't be read: {error.strerror}") from error
        data = rest + block
        if line == 1:
            data = data.removeprefix(b"\xef\xbb\xbf")
        cut = data.rfind(b"\n") + 1 if block else len(data)
        data, rest = data[:cut], data[cut:]
        if len(rest) > max(_LONGEST_LINE, size):
            at = line + data.count(b"\n")
            raise DataError(
                f"{path}, line {at}: longer than {_LONGEST_LINE >> 20} MiB, so it is no row; check the file"
            )
        begin = line
        line += data.count(b"\n")
        if skip_names and data.strip():
            before = len(data) - len(data.lstrip())
            cut = data.find(b"\n", before) + 1 or len(data)
            begin += data.count(b"\n", 0, cut)
            data = data[cut:]
            skip_names = False
        _check_text(path, data, begin)
        data = without_blank_end(data)
        if data:
            some = True
            yield data, begin
        if not block:
            break
    if not some:
        raise DataError(f"{path} holds no rows; give a file that holds some")


def _check_text(path: Path, data: bytes, line: int) -> None:
    try:
        data.decode("utf-8")
    except UnicodeError as error:
        at = line + data.count(b"\n", 0, getattr(error, "start", 0))
        raise DataError(f"{path}, line {at}: not UTF-8 text; save the file as UTF-8") from error
    if (position := data.find(b"\0")) >= 0:
        at = line + data.count(b"\n", 0, position)
        raise DataError(f"{path}, line {at}: holds a zero byte, so it is no text file; give one that is")


def _not_parquet(path: Path, error: Exception) -> DataError:
    reason = str(error).split("\n")[0].strip().rstrip(".")[:200]
    return DataError(f"{path} is not a whole Parquet file ({reason}); fetch or write it again")
