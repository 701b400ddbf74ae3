"""TradingView's export: ``time,open,high,low,close,Volume,...``, times as Unix seconds or ISO 8601 with an offset."""

import re
from pathlib import Path

from pipeline.market.readers.columns import match_columns
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.text import head_lines, split_line
from pipeline.market.readers.text_file import read_text

__all__ = ["FORMAT"]

_NAMES = ["time", "open", "high", "low", "close"]
_TIME = re.compile(r"\d{9,10}|\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:?\d{2})")


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the first line begins with TradingView's names and the second with a time in its format."""
    lines = head_lines(head)
    if len(lines) < 2 or split_line(lines[0], ",")[:5] != _NAMES:
        return False
    return _TIME.fullmatch(split_line(lines[1], ",")[0]) is not None


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file."""
    text = read_text(path, options, delimiter=",")
    layout = match_columns(text.names, options, path)
    return raw_bars(text.table(layout.needed), layout, options)


FORMAT = Format("tradingview", recognises, read)
