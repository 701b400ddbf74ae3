"""Binance's klines as CSV, with or without a line of names, and as JSON; freqtrade keeps the same rows as JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.market.readers.columns import bare_name, match_columns
from pipeline.market.readers.format import FileBars, Format, raw_bars, refuse_columns
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.table import Table
from pipeline.market.readers.text import head_lines, is_number, read_head, read_text, split_line, text_of

__all__ = ["FORMAT"]

_KLINE = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
_CANDLE = _KLINE[:6]
_FIRST_MILLISECOND = 10**11


def recognises(path: Path, head: bytes) -> bool:
    """Whether it is an array of arrays, or lines of twelve fields that begin with an epoch number or ``open_time``."""
    if head.lstrip()[:1] == b"[":
        return head.lstrip()[1:].lstrip()[:1] == b"["
    lines = head_lines(head)
    fields = split_line(lines[0], ",") if lines else []
    if len(fields) != len(_KLINE):
        return False
    return bare_name(fields[0]) == "opentime" or (
        all(is_number(field) for field in fields) and float(fields[0]) > _FIRST_MILLISECOND
    )


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file; in JSON ``source_line`` is the row, from 1."""
    head = read_head(path)
    if head.lstrip()[:1] == b"[":
        refuse_columns(path, options, f"{FORMAT.name} JSON")
        table = _json_table(path, text_of(path))
        return raw_bars(table, match_columns(list(table.columns), options, path), options)
    first = split_line(next(iter(head_lines(head)), ""), options.delimiter or ",")
    if first and is_number(first[0]):
        refuse_columns(path, options, FORMAT.name)
        names = _KLINE if len(first) == len(_KLINE) else _CANDLE
        lines = read_text(path, options.delimiter or ",", names)
    else:
        lines = read_text(path, options.delimiter or ",")
    layout = match_columns(lines.names, options, path)
    return raw_bars(lines.table(layout.needed), layout, options)


def _json_table(path: Path, text: str) -> Table:
    try:
        rows: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise DataError(f"{path}, line {line}: not whole JSON ({error}); fetch it again") from error
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{path} is empty; give a file that holds candles")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list) or len(row) < len(_CANDLE):
            raise DataError(
                f"{path}, row {number}: {json.dumps(row)[:60]} is not a candle of time, open, high, low, close and "
                "volume; mend or remove it"
            )
    width = len(_KLINE) if min(map(len, rows)) >= len(_KLINE) else len(_CANDLE)
    columns = {_KLINE[place]: _column([row[place] for row in rows]) for place in range(width)}
    return Table(path, columns, np.arange(1, len(rows) + 1, dtype=np.int64), "row")


def _column(values: list[Any]) -> pa.ChunkedArray:
    try:
        return pa.chunked_array([pa.array(values)])
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        # Numbers and texts mixed: as texts, so that what is no number is found and named.
        return pa.chunked_array([pa.array([None if value is None else str(value) for value in values], pa.string())])


FORMAT = Format("binance", recognises, read)
