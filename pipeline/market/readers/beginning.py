"""Beginning of a text's table, and its line of column names."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.market.readers.columns import names_of_bars, names_of_prices
from pipeline.market.readers.options import TextOptions
from pipeline.market.readers.table import EMPTY_WORDS
from pipeline.market.readers.text import delimiter_of, is_number, split_line

__all__ = ["HASH", "MARK", "Beginning", "beginning", "is_aside", "is_names"]

# A spreadsheet's error in a row's first cell (#N/A, #DIV/0!) begins as a comment does.
HASH = r"#(?!N/A|[A-Z]+(?:/0)?[!?])"
_MARK = rf"^({HASH}|//|%|--)\s*"
MARK = re.compile(_MARK.encode())

_LINES_BEFORE_NAMES = 30
_NO_ROW = re.compile(rf"{HASH}|//|https?://|(?i:sep=.$)")
_TITLE = re.compile(r"(?i)^(columns?|fields?|header|names?|format)\s*[:=]\s*")  # "Fields: date time open"


class Beginning(NamedTuple):
    """Beginning of a text.

    Attributes
    ----------
    before
        Lines above the table: skipped on the user's request, because they are blank or comments, or because the
        names of columns come later.
    above
        How many of them were skipped unasked and not blank.
    lines
        The table's lines among those examined, from its names or first row on; the line of names without the mark of
        a comment, its fields delimited as the rows' are.
    first
        The first of them as it stands in the file.
    """

    before: int
    above: int
    lines: list[str]
    first: str

    def left_out(self, options: TextOptions) -> dict[str, int]:
        """Lines around the table that are left out, and how many."""
        counts = {
            "line skipped at the beginning": options.skip_rows,
            "line above the table": self.above,
            "line skipped at the end": options.skip_footer,
        }
        return {what: count for what, count in counts.items() if count}


def beginning(head: bytes, options: TextOptions) -> Beginning:
    """Find where the table begins in a text's first bytes: below comments, an address, and lines above the names.

    Names of columns may stand in a comment, as NumPy writes them: ``# timestamp,open,high,low,close,volume``.
    """
    text = head.decode("utf-8", errors="replace")
    lines = text.split("\n" if "\n" in text else "\r")
    before = min(options.skip_rows, len(lines))
    start = _next_row(lines, before)
    if options.names is None:
        start = _place_of_names(lines, before, start, options.delimiter)
    elif start < len(lines) and _stands_for_names(lines, start, options.delimiter):
        start += 1  # the user's names stand for it
    above = sum(bool(line.strip()) for line in lines[before:start])
    first = next(iter(lines[start:]), "")
    names = _line_of_names(first, _row_below(lines, start), options.delimiter)
    return Beginning(start, above, [line for line in (names, *lines[start + 1 :]) if line.strip()], first)


def _line_of_names(line: str, row: str, delimiter: str | None) -> str:
    """A line of names without the mark of a comment and a title before it, its fields delimited as the rows' are.

    Names may be separated by blanks, or by another mark than the rows' fields, where they are as many as these.

    Parameters
    ----------
    line, row
        The line, which need not be one of names, and the first row below it.
    delimiter
        What the user says stands between fields.
    """
    text = _TITLE.sub("", re.sub(_MARK, "", line.strip()))
    by = delimiter or delimiter_of(text)
    alike = by in row and (by != " " or delimiter_of(row) == " ")
    if alike and _width(row, by) == len(split_line(text, by)):
        return text
    by = delimiter or delimiter_of(row)
    for names in (split_line(text), [name.strip('"') for name in text.split()]):
        if len(names) == _width(row, by) and names_of_bars(names):
            return by.join(names)
    return text


def _width(row: str, delimiter: str) -> int:
    """Return the number of fields in a row, without the empty one behind a trailing delimiter."""
    fields = split_line(row, delimiter)
    return len(fields) - (len(fields) > 1 and fields[-1] == "")


def _place_of_names(lines: Sequence[str], before: int, start: int, delimiter: str | None) -> int:
    """Place of the line of names from the first row on, or else in the comments above; ``start`` if there is none."""

    def names_at(place: int) -> list[str]:
        line = _line_of_names(lines[place], _row_below(lines, place), delimiter)
        by = delimiter or delimiter_of(line)
        fields = split_line(line, by)
        # A sentence may hold open, high and low.
        return fields if (names_of_bars if by == " " else names_of_prices)(fields) else []

    above, width = start, 0
    for place in range(before, start):
        if names := names_at(place):
            above, width = place, len(names)
    for place in range(start, min(len(lines), start + _LINES_BEFORE_NAMES)):
        if names_at(place):
            return place
        fields = split_line(lines[place], delimiter)
        if _is_row(fields) or (width > 0 and len(fields) == width):
            break  # a row already: what stands above it is all there is of names
    return above


def _stands_for_names(lines: Sequence[str], place: int, delimiter: str | None) -> bool:
    return is_names(split_line(_line_of_names(lines[place], _row_below(lines, place), delimiter), delimiter))


def _row_below(lines: Sequence[str], place: int) -> str:
    below = _next_row(lines, place + 1)
    return lines[below] if below < len(lines) else ""


def is_aside(line: str) -> bool:
    """Return True if a line is a comment or an address."""
    return _NO_ROW.match(line.strip()) is not None


def _next_row(lines: Sequence[str], start: int) -> int:
    """The next line that is neither blank nor a comment nor an address."""
    for place in range(start, len(lines)):
        text = lines[place].strip()
        if text and not is_aside(text):
            return place
    return len(lines)


def is_names(fields: Sequence[str]) -> bool:
    """Return True if fields are column names, in whatever language: words only, none of which means "empty".

    Or the places 0, 1, 2, as pandas writes them of columns without names.
    """
    if len(fields) > 2 and list(fields) == [str(place) for place in range(len(fields))]:
        return True
    words = all(field[:1].isalpha() and field.lower() not in EMPTY_WORDS for field in fields)
    return names_of_prices(fields) or (len(fields) > 2 and words)


def _is_row(fields: Sequence[str]) -> bool:
    return len(fields) > 2 and sum(is_number(each) for each in fields) > len(fields) / 2
