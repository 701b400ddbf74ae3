"""Bars without a line of names, in the order everyone keeps: date, time, open, high, low, close, volume.

So write MetaTrader 4 (``2022.03.02,18:00,...``), Kibot (``03/02/2022,18:00,...``; http://www.kibot.com/Data_Format.aspx),
FirstRate Data (``2022-03-02 18:00:00,...``) and many more; none of them says its zone.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import DataError
from pipeline.market.readers.beginning import beginning
from pipeline.market.readers.columns import match_columns
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions, refuse_settings, to_set
from pipeline.market.readers.text import head_lines, is_number, read_head, split_line
from pipeline.market.readers.text_file import read_text

__all__ = ["FORMAT"]

_PRICES = ("open", "high", "low", "close", "volume")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{8}|1\d{2}[01]\d[0-3]\d")
_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[APap][Mm])?|\d{3,6}")
_BOTH = re.compile(rf"({_DATE.pattern})[T ]+({_TIME.pattern})(Z| ?[+-]\d{{2}}:?\d{{2}})?")
_EPOCH = re.compile(r"\d{10,19}")
_CHECKED = 200


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the first line is a time, in one field or two, four prices and a volume."""
    lines = head_lines(head)
    return bool(lines) and _names(split_line(lines[0])) is not None


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file.

    Raises
    ------
    DataError
        Also where highs and lows are not where they should be: the fields stand in another order.
    """
    refuse_settings(path, options, "nameless", "columns", "volume_columns")
    start = beginning(read_head(path), options, named=False)
    fields = split_line(start.lines[0], options.delimiter) if start.lines else []
    names = _names(fields)
    if names is None:
        raise DataError(
            f"{path}, line {1 + start.before}: not a time, open, high, low, close and volume; "
            + to_set("names", "NAME,NAME,...")
        )
    text = read_text(path, options, names=names)
    layout = match_columns(text.names, options, path)
    bars = raw_bars(text.table(layout.needed), layout, options)
    first = bars.frame.head(_CHECKED)
    tops, bottoms = first[["open", "close"]].max(axis=1), first[["open", "close"]].min(axis=1)
    fit = (first["high"] >= tops) & (first["low"] <= bottoms)
    if fit.mean() < 0.5:
        raise DataError(
            f"{path}: in {len(first) - int(fit.sum())} of the first {len(first)} lines the fields are not open, high, "
            f"low and close in this order; {to_set('names', ','.join(names))} in the order the file has"
        )
    return bars


def _names(fields: Sequence[str]) -> tuple[str, ...] | None:
    plain = [field.strip().strip('"') for field in fields]
    if len(plain) == 6 and (_BOTH.fullmatch(plain[0]) or _DATE.fullmatch(plain[0]) or _EPOCH.fullmatch(plain[0])):
        times: tuple[str, ...] = ("timestamp",)
    elif len(plain) == 7 and _EPOCH.fullmatch(plain[0]) and plain[6].isdigit():
        return ("timestamp", *_PRICES, "num_trades") if all(map(_looks_numeric, plain)) else None  # Kraken's downloads
    elif len(plain) == 7 and _DATE.fullmatch(plain[0]) and _TIME.fullmatch(plain[1]):
        times = ("date", "time")
    else:
        return None
    return (*times, *_PRICES) if all(_looks_numeric(each) for each in plain[len(times) :]) else None


def _looks_numeric(field: str) -> bool:
    return is_number(field.replace(",", "").replace("'", "")) or field == ""


FORMAT = Format("no_names", recognises, read, priority=80)
