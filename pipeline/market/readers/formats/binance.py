"""Binance's klines as CSV, with or without a line of names."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.market.readers.columns import bare_name
from pipeline.market.readers.formats import json_bars
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.source import Format, Habits, Head, Source
from pipeline.market.readers.text import is_number, read_head
from pipeline.market.readers.text_file import text_source

__all__ = ["FORMAT"]

_FIRST_MILLISECOND = 10**11


def recognises(head: Head) -> bool:
    """Return True if its lines have twelve fields and begin with an epoch number or ``open_time``."""
    fields = head.fields
    if len(fields) != len(json_bars.KLINE):
        return False
    return bare_name(fields[0]) == "opentime" or (all(map(is_number, fields)) and float(fields[0]) > _FIRST_MILLISECOND)


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file."""
    if json_bars.is_json(read_head(path)):  # what its API gives; so were such files called before
        return json_bars.open_file(path, options)
    return text_source(path, options, unnamed=_names, delimiter=",", habits=Habits(decimal="."))


def _names(fields: Sequence[str]) -> Sequence[str] | None:
    if not is_number(fields[0]):
        return None
    return json_bars.KLINE if len(fields) == len(json_bars.KLINE) else json_bars.KLINE[:6]


FORMAT = Format("binance", recognises, open_file)
