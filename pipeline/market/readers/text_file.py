"""Text files of fields between delimiters: where the table begins, and its rows, whole or chunk by chunk."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.errors import DataError
from pipeline.market.readers.beginning import MARK, beginning, is_aside
from pipeline.market.readers.columns import distinct_names, listed
from pipeline.market.readers.limits import MAX_COLUMNS, MAX_LINE_BYTES, MAX_ROWS, MAX_TEXT_BYTES
from pipeline.market.readers.options import TextOptions, to_set
from pipeline.market.readers.source import NO_HABITS, Habits, Source
from pipeline.market.readers.table import Table
from pipeline.market.readers.text import (
    Text,
    check_text,
    delimiter_of,
    filled_end,
    is_number,
    open_text,
    read_head,
    read_rows,
    refuse_large,
    refuse_long_lines,
    single_blanks,
    split_line,
)
from pipeline.market.readers.text_rows import TextRows

__all__ = ["text_source"]

_ROW_BYTES = 48  # a guess at a line's length, for chunks of about as many rows as asked for


def text_source(
    path: Path,
    options: TextOptions,
    *,
    unnamed: Callable[[Sequence[str]], Sequence[str] | None] = lambda fields: None,
    delimiter: str | None = None,
    lines_below_names: int = 0,
    habits: Habits = NO_HABITS,
) -> Source:
    """Open a text file of fields.

    Parameters
    ----------
    path, options
        The file, and the user's options for it.
    unnamed
        The format's names of the columns of a file whose first line is a row, by its fields; None where it is not.
    delimiter
        The format's, where the user gives none.
    lines_below_names
        Lines below that of the names which are not rows.
    habits
        The format's.

    Raises
    ------
    DataError
        If the file is empty, is not text, has no rows, or its columns no names. Its tables raise for a line that is no
        row, naming it.
    """
    head = read_head(path, options.skip_rows + 3)
    if not head.strip():
        raise DataError(f"{path} is empty; give a file that holds rows")
    check_text(path, head[: head.rfind(b"\n") + 1] or head, 1)
    options = options.model_copy(update={"delimiter": options.delimiter or delimiter})
    start = beginning(head, options)
    if not start.lines:
        raise _no_rows(path, options)
    written = start.lines[0]
    by = options.delimiter or delimiter_of(written)
    fields = [] if written.lstrip()[:1] in ("[", "{") else [field.strip('"') for field in split_line(written, by)]
    if not fields:
        raise DataError(
            f"{path}, line {start.before + 1}: {written[:60]!r} can't be split into fields; give rows and columns"
        )
    if len(fields) > MAX_COLUMNS:
        raise DataError(f"{path} has {len(fields):,} columns, over {MAX_COLUMNS:,}; give a file of bars or trades")
    given = options.names or unnamed(fields)
    if given is None and is_number(fields[0]):
        raise DataError(
            f"{path}, line {start.before + 1}: {written.strip()[:80]!r} names no columns; "
            + to_set("names", "NAME,NAME,...")
        )
    names, row, before, header = tuple(given or ()), start.first, start.before, b""
    if given is None:
        names = tuple(distinct_names(fields))
        row = next((line for line in start.lines[1 + lines_below_names :] if not is_aside(line)), "")
        before += 1 + lines_below_names
        header = MARK.sub(b"", start.first.strip().encode())
        _refuse_other_delimiter(path, before - lines_below_names, fields, row, by, options)
    if row and _ends_in_empty_field(row, by, len(names)):
        names = (*names, "")
    blanks = by == " "
    if blanks:
        header = single_blanks(header)

    def tables(needed: Sequence[str], rows: int | None) -> Iterator[tuple[Table, float]]:
        notes = start.left_out(options)
        some = False
        with open_text(path) as text:
            for data, line in _blocks(path, text, rows, before, options.skip_footer):
                some = True
                part = TextRows(path, names, by, single_blanks(data) if blanks else data, line, header, notes)
                yield part.table(needed), text.share
                notes = {}
        if not some:
            raise _no_rows(path, options)

    return Source(path, names, tables, habits)


def _blocks(path: Path, text: Text, rows: int | None, before: int, footer: int) -> Iterator[tuple[bytes, int]]:
    """Whole lines of about so many rows, without the line break at their end, and the line they begin at."""
    size = MAX_TEXT_BYTES + 1 if rows is None else rows * _ROW_BYTES
    rest, line, ended = b"", 1, False
    while not ended:
        block = text.read(size)
        ended = len(block) < size
        if rows is None:
            refuse_large(path, block, MAX_TEXT_BYTES)
            if block.count(b"\n") > MAX_ROWS:
                raise DataError(f"{path} has more than {MAX_ROWS:,} lines; split it")
        data = rest + block
        end = len(data)
        for _ in range(footer):
            end = data.rfind(b"\n", 0, filled_end(data, end)) + 1
        if not ended:
            end = data.rfind(b"\n", 0, end) + 1
            rest = data[end:]
            if len(rest) > max(MAX_LINE_BYTES * (footer + 1), size):
                refuse_long_lines(path, rest, line + data.count(b"\n", 0, end))
        begin, first = 0, line
        line += data.count(b"\n", 0, end)
        while first <= before and begin < end:
            begin = data.find(b"\n", begin, end) + 1 or end
            first += 1
        data = data[begin : max(filled_end(data, end), begin)]
        check_text(path, data, first)
        refuse_long_lines(path, data, first)
        if data:
            yield data, first


def _no_rows(path: Path, options: TextOptions) -> DataError:
    if options.skip_rows or options.skip_footer:
        return DataError(f"{path}: skip_rows and skip_footer leave nothing of the file; give one that holds rows")
    return DataError(f"{path} has a header and no rows; give a file that holds some")


def _refuse_other_delimiter(
    path: Path, line: int, names: Sequence[str], row: str, by: str, options: TextOptions
) -> None:
    """Refuse a line of names whose delimiter the rows don't have."""
    if len(names) > 1 and row and by not in row:
        fields = len(split_line(row, options.delimiter))
        raise DataError(
            f"{path}, line {line}: {len(names)} names of columns ({listed(names)}), and {fields} "
            f"field{'s' * (fields > 1)} in the rows below; " + to_set("names", "NAME,NAME,...") + " in their order"
        )


def _ends_in_empty_field(row: str, delimiter: str, names: int) -> bool:
    """Return True if a delimiter ends each row, and so an empty field for which there is no name."""
    fields = next(read_rows([row.rstrip("\r")], delimiter), [])
    return len(fields) == names + 1 and not fields[-1].strip()
