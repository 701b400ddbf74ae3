"""Bars without a line of names, in the order everyone keeps: date, time, open, high, low, close, volume.

So write MetaTrader 4 (``2022.03.02,18:00,...``), Kibot (``03/02/2022,18:00,...``; http://www.kibot.com/Data_Format.aspx),
FirstRate Data (``2022-03-02 18:00:00,...``) and many more; none of them says its zone.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.market.readers.options import BAR_COLUMNS, ReadOptions
from pipeline.market.readers.source import Format, Habits, Head, Source
from pipeline.market.readers.text import is_number
from pipeline.market.readers.text_file import text_source

__all__ = ["FORMAT"]

_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{8}|1\d{2}[01]\d[0-3]\d")
_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[APap][Mm])?|\d{3,6}")
_BOTH = re.compile(rf"({_DATE.pattern})[T ]+({_TIME.pattern})(Z| ?[+-]\d{{2}}:?\d{{2}})?")
_EPOCH = re.compile(r"\d{10,19}")


def recognises(head: Head) -> bool:
    """Return True if the first line is a time, in one field or two, four prices and a volume."""
    return _names(head.fields) is not None


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file."""
    return text_source(path, options, unnamed=_names, habits=Habits(order_assumed=True))


def _names(fields: Sequence[str]) -> tuple[str, ...] | None:
    plain = [field.strip().strip('"') for field in fields]
    times: tuple[str, ...] = ("timestamp",)
    counts: tuple[str, ...] = ()
    if len(plain) == 6 and (_BOTH.fullmatch(plain[0]) or _DATE.fullmatch(plain[0]) or _EPOCH.fullmatch(plain[0])):
        pass
    elif len(plain) == 7 and _EPOCH.fullmatch(plain[0]) and plain[6].isdigit():
        counts = ("num_trades",)  # Kraken's downloads
    elif len(plain) == 7 and _DATE.fullmatch(plain[0]) and _TIME.fullmatch(plain[1]):
        times = ("date", "time")
    else:
        return None
    return (*times, *BAR_COLUMNS[1:], *counts) if all(map(_looks_numeric, plain[len(times) :])) else None


def _looks_numeric(field: str) -> bool:
    return is_number(field.replace(",", "").replace("'", "")) or field == ""


FORMAT = Format("no_names", recognises, open_file, priority=80)
