"""Text files with a line of column names, or with the names in the options."""

from pathlib import Path

from pipeline.market.readers.columns import match_columns
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.text import head_lines, split_line
from pipeline.market.readers.text_file import read_text

__all__ = ["FORMAT"]


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the first line looks like names: two fields or more, none beginning with a digit."""
    lines = head_lines(head)
    if not lines or lines[0].lstrip()[:1] in ("[", "{", "<?"):
        return False
    fields = split_line(lines[0])
    return len(fields) > 1 and not any(field[:1].isdigit() for field in fields)


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file."""
    text = read_text(path, options)
    layout = match_columns(text.names, options, path)
    return raw_bars(text.table(layout.needed), layout, options)


FORMAT = Format("generic_csv", recognises, read, priority=90)
