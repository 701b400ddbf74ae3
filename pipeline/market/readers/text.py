"""Text of files: its beginning, its lines and its whole, as UTF-8 whatever it was."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import DataError
from pipeline.market.readers.limits import MAX_LINE_BYTES, MIB
from pipeline.market.readers.packed import Unpacked, unpacked

__all__ = [
    "Text",
    "check_text",
    "delimiter_of",
    "filled_end",
    "head_lines",
    "is_number",
    "open_text",
    "read_head",
    "read_rows",
    "read_text",
    "refuse_large",
    "refuse_long_lines",
    "single_blanks",
    "split_line",
]

_HEAD_BYTES = 64 * 1024
_BLOCK = 4 * MIB
_BOM = b"\xef\xbb\xbf"
_WINDOW = 4096

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = (";", "\t", "|", ",")  # of equally many, a comma may be a decimal mark
_FEWEST_FIELDS = 6  # between blanks: a time, four prices and a volume


class Text:
    """A text file's bytes as UTF-8, from the first to the last, without a byte-order mark."""

    def __init__(self, path: Path, file: Unpacked) -> None:
        self._path, self._file = path, file
        head = file.read(_HEAD_BYTES)
        coding = _utf16(head)
        self._decoder = None if coding is None else codecs.getincrementaldecoder(coding)()
        self._ahead = self._utf8(head).removeprefix(_BOM)
        self._lines_end_in_cr = b"\n" not in self._ahead and b"\r" in self._ahead
        self._ahead = self._with_line_feeds(self._ahead)

    @property
    def share(self) -> float:
        """Share of the file's bytes that have been read."""
        return self._file.share

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, fewer only at the end."""
        parts, got = [self._ahead], len(self._ahead)
        while got < size:
            raw = self._file.read(min(size - got, _BLOCK))
            parts.append(self._with_line_feeds(self._utf8(raw)))
            got += len(parts[-1])
            if not raw:
                break
        data = b"".join(filter(None, parts))
        self._ahead = data[size:]
        return data[:size]

    def _utf8(self, raw: bytes) -> bytes:
        if self._decoder is None:
            return raw
        try:
            return self._decoder.decode(raw, final=not raw).removeprefix("\ufeff").encode()
        except UnicodeError as error:
            raise DataError(f"{self._path} is broken UTF-16 text; save the file as UTF-8") from error

    def _with_line_feeds(self, data: bytes) -> bytes:
        return data.replace(b"\r", b"\n") if self._lines_end_in_cr else data


@contextmanager
def open_text(path: Path) -> Iterator[Text]:
    """Open a text file, packed or not, in UTF-8 or UTF-16."""
    with unpacked(path) as file:
        yield Text(path, file)


def read_head(path: Path, lines: int = 0) -> bytes:
    """The first bytes of a file, and at least so many lines of it, unpacked and as UTF-8 where it is text."""
    with open_text(path) as text:
        head = text.read(_HEAD_BYTES)
        while head.count(b"\n") < lines and (more := text.read(2 * MAX_LINE_BYTES)):
            head += more
            refuse_long_lines(path, head, 1)
    return head


def read_text(path: Path, most: int) -> str:
    """The whole of a text file.

    Raises
    ------
    DataError
        If it is not text, or larger than ``most``.
    """
    with open_text(path) as text:
        data = text.read(most + 1)
    refuse_large(path, data, most)
    check_text(path, data, 1)
    return data.decode("utf-8")


def refuse_large(path: Path, data: bytes, most: int) -> None:
    """Refuse a text of more bytes."""
    if len(data) > most:
        raise DataError(f"{path} holds more than {most // MIB:,} MiB of text; split it, or convert it to Parquet")


def _utf16(head: bytes) -> str | None:
    """The kind of UTF-16 that a text's beginning is of, by its mark or by the zero bytes of plain letters."""
    if head.startswith(_UTF16):
        return "utf-16"
    sample = head[:256]
    if len(sample) >= 32:
        odd, even = sample[1::2].count(0), sample[::2].count(0)
        if odd > 0.9 * len(sample) / 2 and even == 0:
            return "utf-16-le"
        if even > 0.9 * len(sample) / 2 and odd == 0:
            return "utf-16-be"
    return None


def head_lines(head: bytes) -> list[str]:
    """The non-blank lines at the beginning of a text; none where it is not text."""
    if b"\0" in head:
        return []
    text = head.decode("utf-8", errors="replace")
    return [line for line in re.split(r"\r\n|\n|\r", text) if line.strip()]


def delimiter_of(line: str) -> str:
    """Return the most likely delimiter of a line; a blank where there are many and nothing else."""
    likely = max(_DELIMITERS, key=line.count)
    return likely if likely in line or len(line.split()) < _FEWEST_FIELDS else " "


def single_blanks(data: bytes) -> bytes:
    """Text with one blank between fields that any number of blanks separate, and none at the ends of lines."""
    return re.sub(rb"(?m)^ +| +(?=\r?$)", b"", re.sub(rb" {2,}", b" ", data))


def split_line(line: str, delimiter: str | None = None) -> list[str]:
    """A line's fields, trimmed; the delimiter is the most frequent of the usual ones where none is given."""
    delimiter = delimiter or delimiter_of(line)
    if delimiter == " ":
        line = " ".join(line.split())
    return [field.strip() for field in next(read_rows([line], delimiter), [])]


def read_rows(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """The fields of each line; none of one that is no CSV."""
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield []


def is_number(text: str) -> bool:
    """Return True if a field is a plain number."""
    return re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", text) is not None


def filled_end(data: bytes, end: int | None = None) -> int:
    """Return the end of the last filled line before ``end``, without its line break; an empty last field stays."""
    end = len(data) if end is None else end
    stop = end
    while stop > 0:
        begin = max(0, stop - _WINDOW)
        if filled := len(data[begin:stop].rstrip()):
            line_end = data.find(b"\n", begin + filled, end)
            line_end = end if line_end < 0 else line_end
            return line_end - (data[line_end - 1 : line_end] == b"\r")
        stop = begin
    return 0


def check_text(path: Path, data: bytes, line: int) -> None:
    """Refuse bytes that are no UTF-8 text; they begin at ``line``."""
    if (position := data.find(b"\0")) >= 0:
        at = line + data.count(b"\n", 0, position)
        raise DataError(f"{path}, line {at}: holds a zero byte, so it is not a text file; give one that is")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), MIB):
            decoder.decode(data[start : start + MIB])
        decoder.decode(b"", final=True)
    except UnicodeError as error:
        at = line + data.count(b"\n", 0, _first_undecodable(data))
        raise DataError(f"{path}, line {at}: not UTF-8 text; save the file as UTF-8") from error


def _first_undecodable(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return len(data)


def refuse_long_lines(path: Path, data: bytes, line: int) -> None:
    """Refuse a text with a line that no row of prices has; the text begins at ``line``."""
    for start in range(0, len(data), MAX_LINE_BYTES):
        stop = start + MAX_LINE_BYTES
        if stop <= len(data) and data.find(b"\n", start, stop) < 0:
            at = line + data.count(b"\n", 0, start)
            raise DataError(
                f"{path}, line {at}: longer than {MAX_LINE_BYTES // MIB} MiB, so it is not a row; check the file"
            )
