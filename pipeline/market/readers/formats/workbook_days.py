"""Epoch of a workbook's dates: 1900, or 1904 as in Excel for the Mac."""

import datetime as dt
import re
import zipfile
from pathlib import Path
from typing import IO

__all__ = ["counts_from_1904", "day_of_1904"]

_BEGINNING = 1 << 20  # of a part: the setting stands at its beginning
_PARTS = {
    "xl/workbook.xml": rb"<(?:\w+:)?workbookPr\b[^>]*\bdate1904\s*=\s*[\"'](?:1|true|on)[\"']",
    "content.xml": rb"<(?:\w+:)?null-date\b[^>]*=\s*[\"']1904-01-01",
}
_BINARY_PART, _BINARY_RECORD = "xl/workbook.bin", 0x99  # BrtWbProp, whose first bit says so ([MS-XLSB] 2.4.829)
# Of .xls, the record Date1904 of two bytes that are 1, and the beginning of CalcPrecision behind it ([MS-XLS] 2.4.77).
_DATEMODE = b"\x22\x00\x02\x00\x01\x00\x0e\x00\x02\x00"
_FIRST, _LAST = 27_759, 60_000  # days of bars: 1980 to 2068


def counts_from_1904(path: Path) -> bool:
    """Return True if a workbook's day numbers count from 1 January 1904; the file has to be a readable one."""
    if not zipfile.is_zipfile(path):
        return _DATEMODE in path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        for name, pattern in _PARTS.items():
            if name in names:
                with archive.open(name) as part:
                    return re.search(pattern, part.read(_BEGINNING)) is not None
        if _BINARY_PART in names:
            with archive.open(_BINARY_PART) as part:
                return _says_1904(part)
    return False


def day_of_1904(number: float) -> dt.datetime | None:
    """The day and time that such a number means; None where it can be none of bars."""
    if not _FIRST <= number <= _LAST:
        return None
    return dt.datetime(1904, 1, 1) + dt.timedelta(days=number)


def _says_1904(part: IO[bytes]) -> bool:
    """Look through the records of a binary workbook: a number, a length (7 bits a byte) and as many bytes."""
    while (kind := _number(part)) is not None:
        content = part.read(_number(part) or 0)
        if kind == _BINARY_RECORD:
            return bool(content[:1]) and bool(content[0] & 1)
    return False


def _number(part: IO[bytes]) -> int | None:
    value = shift = 0
    while byte := part.read(1):
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80 or shift > 21:
            return value
    return None
