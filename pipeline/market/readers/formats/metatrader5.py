"""MetaTrader 5's export of bars: ``<DATE>``, ``<TIME>``, ..., ``<TICKVOL>``, ``<VOL>``, ``<SPREAD>`` between tabs."""

from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc

from pipeline.market.readers.columns import bare_name
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.source import Format, Habits, Head, Source
from pipeline.market.readers.text_file import text_source

__all__ = ["FORMAT"]

_ROWS = 1 << 16


def recognises(head: Head) -> bool:
    """Return True if the first line has MetaTrader's names, with both volumes or the ticks' alone."""
    return {"<DATE>", "<TICKVOL>"} <= set(head.fields)


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file; where the broker knows no volume and ``<VOL>`` is zero throughout, ticks stand for it."""
    source = text_source(path, options)
    by_bare = {bare_name(name): name for name in source.names}
    volume = by_bare.get("vol")
    if volume is None or not _any_traded(source, volume):
        volume = by_bare.get("tickvol", volume)
    return replace(source, habits=Habits(columns={"volume": volume})) if volume is not None else source


def _any_traded(source: Source, volume: str) -> bool:
    tables = (table.texts(volume) for table, _ in source.tables([volume], _ROWS))
    return any(pc.any(pc.match_substring_regex(each, r"[1-9]")).as_py() for each in tables)


FORMAT = Format("metatrader5", recognises, open_file)
