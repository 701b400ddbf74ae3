"""Excel's and LibreOffice's workbooks, by calamine: the one sheet that holds a table of bars."""

import datetime as dt
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import python_calamine

from pipeline.errors import DataError
from pipeline.market.readers.beginning import is_names
from pipeline.market.readers.columns import BARS, distinct_names, match_columns, names_of_prices
from pipeline.market.readers.formats.workbook_days import counts_from_1904, day_of_1904
from pipeline.market.readers.limits import MAX_COLUMNS, MAX_DOCUMENT_BYTES, MIB
from pipeline.market.readers.options import ReadOptions, refuse_settings, to_set
from pipeline.market.readers.source import Format, Head, Source, columns_source
from pipeline.shown import shown

__all__ = ["FORMAT"]

_OLE, _ZIP = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"PK\x03\x04"
_LINES_BEFORE_NAMES = 30
_FEWEST_NUMBERS = 4  # of a row: the prices


def recognises(head: Head) -> bool:
    """Return True if the file is one of the two kinds of container that workbooks are, with a workbook's suffix."""
    return head.data.startswith(_OLE) or (head.data.startswith(_ZIP) and head.path.suffix.lower() in FORMAT.suffixes)


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one workbook; its lines are rows of the sheet, from 1."""
    refuse_settings(path, options, FORMAT.name, "delimiter")
    filled_sheets = [(name, rows) for name, rows in _sheets(path) if len(rows) > options.skip_rows]
    tables = [(name, rows) for name, rows in filled_sheets if _place_of_names(rows, options) is not None]
    if not tables or (options.names and len(tables) > 1):
        tables = filled_sheets
    if len(tables) != 1:
        many = (
            f"sheets with a table of bars ({', '.join(name for name, _ in tables)})" if tables else "no sheet with one"
        )
        raise DataError(f"{path} has {many}; give a workbook of one, its first line the names of the columns")
    sheet, rows = tables[0]
    place = _place_of_names(rows, options)
    if place is None and options.names is None:
        place = options.skip_rows
    first = options.skip_rows if place is None else place + 1
    names = list(options.names or distinct_names([_text(cell) for cell in rows[first - 1]]))
    filled = [place for place in range(first, len(rows)) if any(cell != "" for cell in rows[place])]
    filled = filled[: len(filled) - options.skip_footer]
    if not filled:
        raise DataError(f"{path} has a header and no rows; give a file that holds bars")
    width = max(at for at, cell in enumerate(rows[filled[0]], start=1) if cell != "")
    if not width <= len(names) <= len(rows[filled[0]]):
        raise DataError(
            f"{path} has {width} columns in sheet {sheet!r}, and {len(names)} names; "
            f"{to_set('names', 'NAME,NAME,...')} for all of them, in order"
        )
    days = names.index(match_columns(path, names, BARS, options.columns, options.volume_columns).time[0])
    if any(isinstance(rows[place][days], int | float) for place in filled) and counts_from_1904(path):
        for place in filled:
            rows[place][days] = _of_1904(rows[place][days])

    def read(needed: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        texts = {name: [_text(rows[place][names.index(name)]) for place in filled] for name in needed}
        return {name: pa.chunked_array([pa.array(each, pa.string())]) for name, each in texts.items()}

    skipped = {
        "row skipped at the beginning": options.skip_rows,
        "row above the table": first - options.skip_rows - (options.names is None),
        "row skipped at the end": options.skip_footer,
    }
    notes = {what: count for what, count in skipped.items() if count}
    return columns_source(path, names, read, np.array(filled, dtype=np.int64) + 1, notes=notes)


def _sheets(path: Path) -> Iterator[tuple[str, list[list[Any]]]]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as parts:
                size = sum(each.file_size for each in parts.infolist())
        else:
            size = path.stat().st_size
        if size > MAX_DOCUMENT_BYTES:
            raise DataError(f"{path} expands to more than {MAX_DOCUMENT_BYTES // MIB:,} MiB; save it as CSV or Parquet")
        with python_calamine.CalamineWorkbook.from_path(str(path)) as book:
            for name in book.sheet_names:
                sheet = book.get_sheet_by_name(name)
                if sheet.total_width > MAX_COLUMNS:
                    raise DataError(f"{path} has {sheet.total_width:,} columns, over {MAX_COLUMNS:,}; give one of bars")
                yield shown(name), sheet.to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, zipfile.BadZipFile, OSError, UnicodeError) as error:
        reason = str(error).split("\n")[0].strip().rstrip(".")[:200]
        raise DataError(f"{path} is not a workbook that can be read ({reason}); save it as CSV") from error


def _place_of_names(rows: Sequence[Sequence[Any]], options: ReadOptions) -> int | None:
    for place in range(options.skip_rows, min(len(rows), options.skip_rows + _LINES_BEFORE_NAMES)):
        cells = [text for cell in rows[place] if (text := _text(cell))]
        if names_of_prices(cells) or (options.names and is_names(cells)):
            return place
        if options.names and sum(isinstance(cell, int | float) for cell in rows[place]) >= _FEWEST_NUMBERS:
            return None  # a row: the user's names stand for no line of the sheet
    return None


def _of_1904(cell: Any) -> Any:
    """A cell of days; a number that no format marks as a date as the day it counts from 1904."""
    return day_of_1904(cell) or cell if isinstance(cell, int | float) else cell


def _text(cell: Any) -> str:
    """A cell as text: dates in ISO 8601, to the second, as a day's fraction has no more to give."""
    if isinstance(cell, dt.datetime):
        return (cell + dt.timedelta(milliseconds=500)).replace(microsecond=0).isoformat(sep=" ")
    if isinstance(cell, dt.date | dt.time):
        return cell.isoformat()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**63 else repr(cell)
    return str(cell)


FORMAT = Format("excel", recognises, open_file, priority=10, suffixes=(".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"))
