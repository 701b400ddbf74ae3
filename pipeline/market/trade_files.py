"""Trades from files of any size, chunk by chunk: Parquet, text with or without names, Binance's archives."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field

from pipeline.errors import DataError
from pipeline.market.readers.columns import TRADES, names_of_trades
from pipeline.market.readers.databento_records import is_databento
from pipeline.market.readers.formats import parquet
from pipeline.market.readers.options import TextOptions
from pipeline.market.readers.reading import bar_files
from pipeline.market.readers.rows import Progress, RowReader, tables_of_files
from pipeline.market.readers.source import Habits, Head, Source
from pipeline.market.readers.sources import expanded_path
from pipeline.market.readers.symbols import OneSymbol
from pipeline.market.readers.table import Table
from pipeline.market.readers.text import read_head
from pipeline.market.readers.text_file import text_source

__all__ = ["TradeReadOptions", "holds_trades", "read_trades"]

Side = Literal["buy", "sell", "unknown"]

_NUMBERS = ("price", "volume", "bid_volume", "ask_volume")

# data.binance.vision, spot: no line of names.
_BINANCE = {
    7: ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match"),
    8: ("agg_trade_id", "price", "qty", "first_id", "last_id", "transact_time", "is_buyer_maker", "is_best_match"),
}
# Databento names the aggressor by the side of the book its order stands on.
_DATABENTO = {"A": "sell", "B": "buy", "N": "unknown"}


class TradeReadOptions(TextOptions):
    """Options for reading files of trades; everything left out is detected.

    Attributes
    ----------
    sides
        What the file's words for the aggressor mean: ``{"A": "sell", "B": "buy"}``.
    """

    sides: Mapping[str, Side] = Field(default_factory=dict)


_DEFAULTS = TradeReadOptions()


def holds_trades(path: str | PathLike[str], options: TradeReadOptions = _DEFAULTS) -> bool:
    """Return True if a file, or the first of a folder or glob, holds trades: a price, and no open, high or low.

    Raises
    ------
    DataError
        Where there is no file.
    """
    file = bar_files(expanded_path(path))[0]
    try:
        names = _open(file, options).names
    except DataError:  # whoever reads it says what is wrong
        return False
    return names_of_trades([*names, *(ours for ours in options.columns if ours == "price")])


def read_trades(
    path: str | PathLike[str],
    options: TradeReadOptions = _DEFAULTS,
    *,
    chunk_rows: int = 1 << 18,
    progress: Progress | None = None,
    left_out: Counter[str] | None = None,
) -> Iterator[pd.DataFrame]:
    """Trades of a file, a folder or a glob, in frames of about ``chunk_rows`` rows, in the order they are written.

    Parameters
    ----------
    path
        Parquet, or text (also packed with gzip) with a line of column names; Binance's ``trades`` and ``aggTrades``
        archives without one are known.
    options
        Options that can't be detected from the files.
    chunk_rows
        Rows of a frame; those of text are as many as fit as many times 48 bytes.
    progress
        Called after every frame with the rows so far and the share of the bytes read (0 to 1).
    left_out
        Counts the lines that are not rows: comments, the line of names where it comes again, those that were skipped.

    Yields
    ------
    DataFrame
        ``timestamp`` (datetime64[ns, UTC], NaT where empty), ``price``, ``volume`` (float64, or int64 where the file
        says so; NaN where empty) and what there is of ``side`` (text as written, or ``buy``, ``sell``,
        ``unknown``), ``is_buyer_maker``, ``bid_volume``, ``ask_volume``, ``seq`` (int64), ``contract`` (str).

    Raises
    ------
    DataError
        For what can't be read, naming file, line and column and saying what to do.
    """
    symbols = OneSymbol(options.file_symbol)

    def reader(file: Path) -> _TradeReader:
        return _TradeReader(_open(file, options), options, TRADES, symbols)

    for rows, table in tables_of_files(bar_files(expanded_path(path)), reader, chunk_rows, progress):
        if left_out is not None:
            left_out.update(table.notes)
        if len(table.lines):  # not comments, or other symbols' rows
            yield rows.trades(table)


class _TradeReader(RowReader):
    options: TradeReadOptions

    def trades(self, table: Table) -> pd.DataFrame:
        """The rows of a table, as :func:`read_trades` yields them."""
        times = self.instants(table).nanoseconds
        columns: dict[str, Any] = {"timestamp": pd.DatetimeIndex(times.view("M8[ns]"), tz="UTC")}
        layout = self.layout.columns
        whole = {ours: each for ours, theirs in layout.items() if (each := _whole_column(table, theirs)) is not None}
        numbers = self.numbers(table, {each: layout[each] for each in _NUMBERS if each in layout and each not in whole})
        words = {**(_DATABENTO if is_databento(self.source.names) else {}), **self.options.sides}
        for ours, theirs in layout.items():
            if ours in _NUMBERS:
                columns[ours] = whole[ours] if ours in whole else numbers[ours]
            elif ours in ("side", "is_buyer_maker"):
                columns[ours] = _side(table.columns[theirs], words if ours == "side" else {})
            elif ours == "seq":
                order = whole[ours] if ours in whole else _whole_texts(table, theirs)
                if order is not None:  # identifiers that are not numbers order nothing
                    columns[ours] = order
            elif ours == "contract":
                columns[ours] = pd.Series(table.texts(theirs).to_pandas(), dtype="str")
        return pd.DataFrame(columns, copy=False)


def _open(path: Path, options: TradeReadOptions) -> Source:
    if parquet.is_parquet(Head(path, read_head(path), [])):
        return parquet.open_file(path, options)
    source = text_source(path, options, unnamed=_binance_names)
    return replace(source, habits=Habits(decimal=".")) if is_databento(source.names) else source


def _binance_names(fields: Sequence[str]) -> Sequence[str] | None:
    flags = [field.strip().lower() for field in fields[-2:]]
    known = len(fields) in _BINANCE and all(flag in ("true", "false") for flag in flags)
    return _BINANCE[len(fields)] if known else None


def _side(values: pa.ChunkedArray, words: Mapping[str, str]) -> Any:
    if pa.types.is_boolean(values.type) and values.null_count == 0:
        return values.to_numpy()
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    coded = pd.Series(values.to_pandas())
    if not words:
        return coded
    meanings = [str(words.get(str(each).strip(), each)) for each in coded.cat.categories]
    names, places = list(dict.fromkeys(meanings)), coded.cat.codes.to_numpy()
    renamed = np.array([*(names.index(each) for each in meanings), -1])  # the last: a missing value
    return pd.Categorical.from_codes(renamed[places], categories=names)


def _whole_column(table: Table, column: str) -> np.ndarray | None:
    """A column of whole numbers without an empty cell; None for another."""
    values = table.columns[column]
    if not pa.types.is_integer(values.type) or values.type == pa.uint64() or values.null_count:
        return None
    return np.asarray(values.to_numpy().astype(np.int64, copy=False))


def _whole_texts(table: Table, column: str) -> np.ndarray | None:
    try:
        return np.asarray(table.texts(column).cast(pa.int64()).to_numpy(), dtype=np.int64)
    except (pa.ArrowInvalid, ValueError):
        return None
