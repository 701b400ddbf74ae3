"""Dukascopy's historical data: ``Gmt time,Open,...`` or ``Local time,...``, the day first in dates (01.03.2022).

Local times carry their offset: ``01.03.2022 00:00:00.000 GMT+0100``.
"""

from dataclasses import replace
from pathlib import Path

from pipeline.market.readers.columns import bare_name
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.source import Format, Habits, Head, Source
from pipeline.market.readers.text_file import text_source

__all__ = ["FORMAT"]


def recognises(head: Head) -> bool:
    """Return True if the first name is one that Dukascopy gives its times."""
    return bool(head.fields) and bare_name(head.fields[0]) in ("gmttime", "localtime")


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file."""
    source = text_source(path, options)
    return replace(source, habits=Habits(day_first=True, columns={"timestamp": source.names[0]}))


FORMAT = Format("dukascopy", recognises, open_file)
