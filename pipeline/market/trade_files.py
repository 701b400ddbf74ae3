"""Trades from files of any size, chunk by chunk: Parquet, text with or without names, Binance's archives."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.file_chunks import ChunkedFile, Progress, open_chunks
from pipeline.market.readers.columns import (
    SYNONYMS,
    TRADE_PRICES,
    TRADE_VOLUMES,
    bare_name,
    configured,
    no_column,
    one_of,
    time_columns,
)
from pipeline.market.readers.numbers import NO_MARKS, NumberStyle, number_styles, read_numbers
from pipeline.market.readers.options import TextOptions, to_set
from pipeline.market.readers.reading import bar_files
from pipeline.market.readers.sources import expanded_path
from pipeline.market.readers.table import Table
from pipeline.market.readers.times import read_instants

__all__ = ["TradeReadOptions", "holds_trades", "read_trades"]

Side = Literal["buy", "sell", "unknown"]

# In order of preference, without case and punctuation.
TRADE_SYNONYMS: dict[str, tuple[str, ...]] = {
    "timestamp": (
        *SYNONYMS["timestamp"], "transacttime", "tradetime", "exchangetime", "eventtime", "tsrecv", "ts", "t",
    ),
    "date": SYNONYMS["date"],
    "time": SYNONYMS["time"],
    "price": TRADE_PRICES,
    "volume": TRADE_VOLUMES,
    "side": ("side", "aggressor", "aggressorside", "takerside", "tradeside", "initiator"),
    "is_buyer_maker": ("isbuyermaker", "buyermaker", "wasthebuyerthemaker", "m"),
    "bid_volume": ("bidvolume",),
    "ask_volume": ("askvolume",),
    "seq": ("seq", "sequence", "sequencenumber", "aggtradeid", "tradeid", "id", "a"),
    "contract": SYNONYMS["contract"],
    "symbol": SYNONYMS["symbol"],
}  # fmt: skip
_NUMBERS = ("price", "volume", "bid_volume", "ask_volume")
_REQUIRED = ("price", "volume")

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


@dataclass(frozen=True)
class _Layout:
    time: tuple[str, ...]
    columns: Mapping[str, str]
    sides: Mapping[str, str]
    databento: bool

    @property
    def needed(self) -> list[str]:
        return list(dict.fromkeys((*self.time, *self.columns.values())))


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
    bare = {bare_name(name) for name in names}
    bars = {*SYNONYMS["open"], *SYNONYMS["high"], *SYNONYMS["low"]}
    return bool(bare & set(TRADE_SYNONYMS["price"]) or "price" in options.columns) and not bare & bars


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
    if chunk_rows < 1:
        raise ConfigurationError(f"chunk_rows is {chunk_rows}; a chunk has 1 row or more")
    files = bar_files(expanded_path(path))
    sizes = [file.stat().st_size for file in files]
    done, rows = 0, 0
    symbols: set[str] = set()
    for file, size in zip(files, sizes, strict=True):
        source = _open(file, options)
        layout = _layout(source.names, options, file)
        if left_out is not None:
            left_out.update(source.left_out)
        styles: dict[str, NumberStyle] | None = None
        for table, share in source.tables(layout.needed, chunk_rows):
            if left_out is not None:
                left_out.update(table.notes)
            if len(table.lines) == 0:  # comments only
                continue
            if styles is None:
                styles = _styles(table, layout, options)
            frame = _frame(table, layout, options, symbols, styles)
            rows += len(frame)
            yield frame
            if progress is not None:
                progress(rows, (done + share * size) / max(sum(sizes), 1))
        done += size


def _open(path: Path, options: TradeReadOptions) -> ChunkedFile:
    return open_chunks(path, options, unnamed=_binance_names)


def _binance_names(fields: Sequence[str]) -> Sequence[str] | None:
    flags = [field.strip().lower() for field in fields[-2:]]
    known = len(fields) in _BINANCE and all(flag in ("true", "false") for flag in flags)
    return _BINANCE[len(fields)] if known else None


def _layout(names: Sequence[str], options: TradeReadOptions, path: Path) -> _Layout:
    by_bare: dict[str, list[str]] = {}
    for name in names:
        by_bare.setdefault(bare_name(name), []).append(name)
    for ours in options.columns:
        if ours not in TRADE_SYNONYMS:
            raise DataError(f"{path} holds trades, which have no column {ours}; leave {ours} out of columns")
    found = {ours: configured(ours, theirs, names, by_bare, path) for ours, theirs in options.columns.items()}
    for ours, synonyms in TRADE_SYNONYMS.items():
        if ours not in found and (only := one_of(ours, synonyms, by_bare, found.values(), path)) is not None:
            found[ours] = only
    time = time_columns(found, options.columns)
    missing = [name for name in _REQUIRED if name not in found]
    if len(time) == 0:
        missing.insert(0, "timestamp")
    if missing:
        raise DataError(no_column(path, missing, names))
    kept = {ours: theirs for ours, theirs in found.items() if ours not in ("timestamp", "date", "time")}
    databento = {"tsevent", "publisherid"} <= set(by_bare) or {"tsevent", "rtype"} <= set(by_bare)
    return _Layout(time, kept, {**(_DATABENTO if databento else {}), **options.sides}, databento)


def _styles(table: Table, layout: _Layout, options: TradeReadOptions) -> dict[str, NumberStyle]:
    # The first chunk tells for all of the file.
    numeric = {ours: theirs for ours, theirs in layout.columns.items() if ours in _NUMBERS}
    return number_styles(table, numeric, options.decimal or ("." if layout.databento else None))


def _frame(
    table: Table,
    layout: _Layout,
    options: TradeReadOptions,
    symbols: set[str],
    styles: Mapping[str, NumberStyle],
) -> pd.DataFrame:
    if "symbol" in layout.columns:
        table = _of_one_symbol(table, layout.columns["symbol"], options, symbols)
    elif options.file_symbol is not None:
        raise DataError(
            f"{table.path} has no column of symbols to find {options.file_symbol} in; leave file_symbol out, or "
            + to_set("columns", "'symbol=NAME'")
        )
    instants = read_instants(table, layout.time, options.time_zone, options.time_format)
    columns: dict[str, Any] = {"timestamp": pd.DatetimeIndex(instants.nanoseconds.view("M8[ns]"), tz="UTC")}
    for ours, theirs in layout.columns.items():
        values = table.columns[theirs]
        if ours in _NUMBERS:
            whole = pa.types.is_signed_integer(values.type) and values.null_count == 0
            columns[ours] = (
                values.to_numpy().astype(np.int64, copy=False)
                if whole
                else read_numbers(table, theirs, styles.get(ours, NO_MARKS))
            )
            if ours == "price" and layout.databento:
                columns[ours] = _databento_prices(values, columns[ours])
        elif ours in ("side", "is_buyer_maker"):
            columns[ours] = _side(values, layout.sides if ours == "side" else {})
        elif ours == "seq":
            if pa.types.is_integer(values.type) and values.null_count == 0:
                columns[ours] = values.to_numpy().astype(np.int64, copy=False)
            elif (numbers := _whole_numbers(table, theirs)) is not None:
                columns[ours] = numbers
        elif ours == "contract":
            columns[ours] = pd.Series(table.texts(theirs).to_pandas(), dtype="str")
    return pd.DataFrame(columns, copy=False)


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


def _databento_prices(written: pa.ChunkedArray, prices: np.ndarray) -> np.ndarray:
    """Prices that are written as whole numbers of 1e-9, in units; the largest of them stands for none."""
    whole = pa.types.is_integer(written.type) or (
        pa.types.is_string(written.type) and not pc.any(pc.match_substring(written, ".")).as_py()
    )
    if not whole:
        return prices
    return np.where(prices.astype(np.float64) >= 2.0**63, np.nan, prices / 1e9)


def _whole_numbers(table: Table, column: str) -> np.ndarray | None:
    # Identifiers that are not numbers order nothing.
    try:
        return np.asarray(table.texts(column).cast(pa.int64()).to_numpy(), dtype=np.int64)
    except (pa.ArrowInvalid, ValueError):
        return None


def _of_one_symbol(table: Table, column: str, options: TradeReadOptions, symbols: set[str]) -> Table:
    texts = table.texts(column)
    if options.file_symbol is not None:
        return table.select(np.asarray((texts.to_pandas() == options.file_symbol), dtype=bool))
    symbols.update(each for each in texts.unique().to_pylist() if each is not None)
    if len(symbols) > 1:
        known = sorted(symbols)
        raise DataError(
            f"{table.path}, column {column!r} holds {len(known)} symbols or more ({', '.join(known[:5])}); "
            + to_set("file_symbol", known[0])
            + " or to another of them, or, where they are the contracts of one series, "
            + to_set("columns", f"'contract={column}'")
        )
    return table
