"""Reader of yfinance's ``download(...).to_csv()``: two lines of names, and one more for the name of the times."""

from dataclasses import replace
from pathlib import Path

from pipeline.market.readers.beginning import beginning
from pipeline.market.readers.columns import distinct_names, match_columns
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.text import head_lines, read_head, split_line
from pipeline.market.readers.text_file import read_text

__all__ = ["FORMAT"]

_TIMES = ("Datetime", "Date", "Timestamp")


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the second or third line names the times and nothing else."""
    return _lines_below_names(head_lines(head)) > 0


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file."""
    below = _lines_below_names(beginning(read_head(path), options).lines)
    text = read_text(path, options, more_names=below)
    names = tuple(distinct_names(["timestamp", *text.names[1:]]))
    text = replace(text, names=names)
    layout = match_columns(names, options, path)
    return raw_bars(text.table(layout.needed), layout, options)


def _lines_below_names(lines: list[str]) -> int:
    """Count the lines between that of Open, High, Low and Close and the first row."""
    for place in (1, 2):
        fields = split_line(lines[place], ",") if len(lines) > place else []
        if len(fields) > 4 and fields[0] in _TIMES and not any(fields[1:]):
            return place
    return 0


FORMAT = Format("yfinance", recognises, read)
