"""The rows of one symbol, in a file that may hold several."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.options import to_set
from pipeline.market.readers.table import Table, is_text, texts_of

__all__ = ["SeveralSymbolsError", "of_one_symbol", "refuse_several_series"]

_PRICES = ["open", "high", "low", "close"]
_FEW = 0.01  # of the rows: corrections of a vendor, which cleaning quarantines
_OVERLAP = 0.2  # of the rows: more than the days around a roll
_LEFT = 0.5  # of the clashes, that a column of words may leave to another column


class SeveralSymbolsError(DataError):
    """A file of several symbols, of which none was chosen.

    Attributes
    ----------
    column, symbols
        The column that names them, and those it holds.
    found_by_times
        Whether the column is known by its rows of the same times, not by its name.
    """

    def __init__(self, table: Table, column: str, symbols: Sequence[str], clashes: int = 0) -> None:
        self.column, self.symbols, self.found_by_times = column, tuple(symbols), clashes > 0
        rows = len(table.lines)
        seen = f" at the same times, in {clashes:,} of {rows:,} rows with other prices" if clashes else ""
        named = to_set("columns", f"'symbol={column}'") + " and " if clashes else ""
        few = ", ".join(symbols[:5]) + (", …" if len(symbols) > 5 else "")
        one, contracts = to_set("file_symbol", symbols[0]), to_set("columns", f"'contract={column}'")
        super().__init__(
            f"{table.path}, column {column!r} holds {len(symbols)} symbols ({few}){seen}; "
            f"{named}{one} or to another of them, or, where they are the contracts of one "
            f"series, {contracts}"
        )


def of_one_symbol(table: Table, column: str | None, wanted: str | None) -> tuple[Table, str]:
    """The rows of the wanted symbol, or all where there is only one; and ``of SYMBOL`` for the sentence that says so.

    Symbols are compared without case.

    Raises
    ------
    DataError
        For several symbols without a choice (:class:`SeveralSymbolsError`), and for one that is not there, and for an
        empty cell.
    """
    if column is None:
        if wanted is not None:
            raise DataError(
                f"{table.path} has no column of symbols to find {wanted} in; leave file_symbol out, or "
                + to_set("columns", "'symbol=NAME'")
            )
        return table, ""
    symbols = table.texts(column)
    distinct = _distinct(symbols)
    _refuse_empty(table, column, np.asarray(symbols.is_null(), dtype=bool))
    if wanted is None:
        if len(distinct) > 1:
            raise SeveralSymbolsError(table, column, distinct)
        return table, ""
    keep = np.asarray(pc.equal(pc.utf8_upper(symbols), wanted.upper()).fill_null(False), dtype=bool)
    if not keep.any():
        raise DataError(f"{table.path} has no rows of symbol {wanted!r}; it holds {', '.join(distinct[:5])}")
    chosen, others = table.select(keep), int((~keep).sum())
    notes = {**table.notes, "row of other symbols": others} if others else table.notes
    return replace(chosen, notes=notes), f" of {wanted}"


def refuse_several_series(table: Table, bars: pd.DataFrame, contract: str | None) -> None:
    """Refuse rows of one time with other prices, where a column of whatever name tells them apart.

    Parameters
    ----------
    table, bars
        The file, and what was read of it: times and prices.
    contract
        The column taken for that of the contracts: those of one series overlap around rolls only.

    Raises
    ------
    SeveralSymbolsError
        Also for bars of several lengths or of several exchanges, where a column says so.
    """
    clashes = _clashes(bars)
    if clashes < max(2, _FEW * len(bars)):
        return
    for name, symbols in _columns_of_names(table, contract if clashes >= _OVERLAP * len(bars) else None):
        codes = pd.factorize(symbols.to_pandas())[0]
        at_once = pd.Series(codes).groupby(bars["timestamp"].to_numpy()).agg(["size", "nunique"])
        together = int(at_once["size"].max())
        left = (at_once["size"] - at_once["nunique"]).sum() / (at_once["size"] - 1).sum()
        # A spread or a count differs between rows of one time by chance; numbers of series do so always, and are few.
        told = left == 0 and codes.max() < 3 * together if _all_numbers(symbols) else left <= _LEFT
        if told and codes.max() > 0:
            raise SeveralSymbolsError(table, name, _distinct(symbols), clashes)


def _clashes(bars: pd.DataFrame) -> int:
    """How many rows have the time of an earlier one, and other prices."""
    if not bars["timestamp"].duplicated().any():
        return 0
    known = bars.loc[bars["timestamp"].notna(), ["timestamp", *_PRICES]].drop_duplicates()
    return int(known["timestamp"].duplicated().sum())


def _columns_of_names(table: Table, contract: str | None) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Columns of text or whole numbers that could name a row's series: ``contract``, then those not read so far."""
    columns = {} if contract is None else {contract: table.columns[contract]}
    for name, values in {**columns, **table.unread()}.items():
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        if is_text(kind) or pa.types.is_integer(kind):
            yield name, texts_of(values)


def _distinct(symbols: pa.ChunkedArray) -> list[str]:
    known = sorted((each for each in symbols.unique().to_pylist() if each is not None), reverse=True)
    return sorted({each.upper(): each for each in known}.values())


def _all_numbers(symbols: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.match_substring_regex(symbols, r"^[-+]?\d[\d.,]*$")).as_py())


def _refuse_empty(table: Table, column: str, empty: NDArray[np.bool_]) -> None:
    """Refuse a row that names no symbol among rows that do; a column of nothing says nothing of any."""
    if empty.any() and not empty.all():
        where = table.where(int(np.argmax(empty)), column)
        raise DataError(f"{where}: empty, so the row's symbol is unknown; write it, or remove the {table.unit}")
