"""Binance's klines as CSV, with or without a line of names."""

from pathlib import Path

from pipeline.market.readers import json_bars
from pipeline.market.readers.columns import bare_name, match_columns
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions, refuse_settings
from pipeline.market.readers.text import head_lines, is_number, read_head, split_line
from pipeline.market.readers.text_file import read_text

__all__ = ["FORMAT"]

_KLINE = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
_CANDLE = _KLINE[:6]
_FIRST_MILLISECOND = 10**11


def recognises(path: Path, head: bytes) -> bool:
    """Return True if its lines have twelve fields and begin with an epoch number or ``open_time``."""
    lines = head_lines(head)
    fields = split_line(lines[0], ",") if lines else []
    if len(fields) != len(_KLINE):
        return False
    return bare_name(fields[0]) == "opentime" or (
        all(is_number(field) for field in fields) and float(fields[0]) > _FIRST_MILLISECOND
    )


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file."""
    head = read_head(path)
    if json_bars.is_json(head):  # what its API gives; so were such files called before
        return json_bars.read(path, options)
    first = split_line(next(iter(head_lines(head)), ""), options.delimiter or ",")
    if first and is_number(first[0]):
        refuse_settings(path, options, FORMAT.name, "columns", "volume_columns")
        names = _KLINE if len(first) == len(_KLINE) else _CANDLE
        lines = read_text(path, options, names=names, delimiter=",")
    else:
        lines = read_text(path, options, delimiter=",")
    layout = match_columns(lines.names, options, path)
    return raw_bars(lines.table(layout.needed), layout, options, decimal=".")


FORMAT = Format("binance", recognises, read)
