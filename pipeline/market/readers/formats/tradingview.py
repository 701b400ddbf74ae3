"""TradingView's export: ``time,open,high,low,close,Volume,...``, times as Unix seconds or ISO 8601 with an offset."""

import re
from pathlib import Path

from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.source import Format, Head, Source
from pipeline.market.readers.text import split_line
from pipeline.market.readers.text_file import text_source

__all__ = ["FORMAT"]

_NAMES = ["time", "open", "high", "low", "close"]
_TIME = re.compile(r"\d{9,10}|\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:?\d{2})")


def recognises(head: Head) -> bool:
    """Return True if the first line begins with TradingView's names and the second with a time in its format."""
    if len(head.lines) < 2 or head.fields[:5] != _NAMES:
        return False
    return _TIME.fullmatch(split_line(head.lines[1], ",")[0]) is not None


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file."""
    return text_source(path, options, delimiter=",")


FORMAT = Format("tradingview", recognises, open_file)
