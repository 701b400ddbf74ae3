"""Dukascopy's historical data: ``Gmt time,Open,...`` or ``Local time,...``, the day first in dates (01.03.2022).

Local times carry their offset: ``01.03.2022 00:00:00.000 GMT+0100``.
"""

from pathlib import Path

from pipeline.market.readers.columns import bare_name, match_columns
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.text import head_lines, split_line
from pipeline.market.readers.text_file import read_text

__all__ = ["FORMAT"]

_TIMES = ("gmttime", "localtime")


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the first name is one that Dukascopy gives its times."""
    lines = head_lines(head)
    return bool(lines) and bare_name(split_line(lines[0])[0]) in _TIMES


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file."""
    text = read_text(path, options)
    if not {"timestamp", "date", "time"} & set(options.columns):
        options = options.model_copy(update={"columns": {**options.columns, "timestamp": text.names[0]}})
    layout = match_columns(text.names, options, path)
    return raw_bars(text.table(layout.needed), layout, options, day_first=True)


FORMAT = Format("dukascopy", recognises, read)
