"""Reader of yfinance's ``download(...).to_csv()``: two lines of names, and one more for the name of the times."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.market.readers.beginning import beginning
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.source import Format, Habits, Head, Source
from pipeline.market.readers.text import read_head, split_line
from pipeline.market.readers.text_file import text_source

__all__ = ["FORMAT"]

_TIMES = ("Datetime", "Date", "Timestamp")


def recognises(head: Head) -> bool:
    """Return True if the second or third line names the times and nothing else."""
    return _lines_below_names(head.lines) > 0


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file."""
    below = _lines_below_names(beginning(read_head(path), options).lines)
    source = text_source(path, options, lines_below_names=below)
    return replace(source, habits=Habits(columns={"timestamp": source.names[0]}))


def _lines_below_names(lines: Sequence[str]) -> int:
    """Count the lines between that of Open, High, Low and Close and the first row."""
    for place in (1, 2):
        fields = split_line(lines[place], ",") if len(lines) > place else []
        if len(fields) > 4 and fields[0] in _TIMES and not any(fields[1:]):
            return place
    return 0


FORMAT = Format("yfinance", recognises, open_file)
