"""The rows of one symbol, in a file that may hold several."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.options import to_set
from pipeline.market.readers.table import Table

__all__ = ["OneSymbol", "SeveralSymbolsError", "distinct_symbols"]


class SeveralSymbolsError(DataError):
    """A file of several symbols, of which none was chosen.

    Attributes
    ----------
    column, symbols
        The column that names them, and those it holds.
    evidence
        What shows that the column names symbols, where its name doesn't; empty where it does.
    """

    def __init__(self, table: Table, column: str, symbols: Sequence[str], evidence: str = "") -> None:
        self.column, self.symbols, self.evidence = column, tuple(symbols), evidence
        seen = f" {evidence}" if evidence else ""
        named = to_set("columns", f"'symbol={column}'") + " and " if evidence else ""
        few = ", ".join(symbols[:5]) + (", …" if len(symbols) > 5 else "")
        one, contracts = to_set("file_symbol", symbols[0]), to_set("columns", f"'contract={column}'")
        super().__init__(
            f"{table.path}, column {column!r} holds {len(symbols)} symbols ({few}){seen}; "
            f"{named}{one} or to another of them, or, where they are the contracts of one "
            f"series, {contracts}"
        )


class OneSymbol:
    """The rows of one symbol, in the tables of a source one after the other.

    Parameters
    ----------
    wanted
        Which one's; None where the source holds only one. Symbols are compared without case.
    """

    def __init__(self, wanted: str | None) -> None:
        self.wanted = wanted
        self._seen: dict[str, str] = {}

    def rows(self, table: Table, column: str | None) -> Table:
        """The wanted symbol's rows of a table, or all where there is only one.

        Raises
        ------
        DataError
            For several symbols without a choice (:class:`SeveralSymbolsError`), a choice without a column, and an empty
            cell.
        """
        if column is None:
            if self.wanted is not None:
                raise DataError(
                    f"{table.path} has no column of symbols to find {self.wanted} in; leave file_symbol out, or "
                    + to_set("columns", "'symbol=NAME'")
                )
            return table
        symbols = table.texts(column)
        self._seen |= {each.upper(): each for each in distinct_symbols(symbols)}
        _refuse_empty(table, column, np.asarray(symbols.is_null(), dtype=bool))
        if self.wanted is None:
            if len(self._seen) > 1:
                raise SeveralSymbolsError(table, column, sorted(self._seen.values()))
            return table
        keep = np.asarray(pc.equal(pc.utf8_upper(symbols), self.wanted.upper()).fill_null(False), dtype=bool)
        chosen, others = table.select(keep), int((~keep).sum())
        return replace(chosen, notes={**table.notes, "row of other symbols": others}) if others else table

    def refuse_absent(self, path: Path) -> None:
        """Refuse a wanted symbol that no table held."""
        if self.wanted is not None and self.wanted.upper() not in self._seen:
            held = ", ".join(sorted(self._seen.values())[:5])
            raise DataError(f"{path} has no rows of symbol {self.wanted!r}; it holds {held}")


def distinct_symbols(symbols: pa.ChunkedArray) -> list[str]:
    """The different symbols, sorted; of those that differ by their case alone, one."""
    known = sorted((each for each in symbols.unique().to_pylist() if each is not None), reverse=True)
    return sorted({each.upper(): each for each in known}.values())


def _refuse_empty(table: Table, column: str, empty: NDArray[np.bool_]) -> None:
    """Refuse a row that names no symbol among rows that do; a column of nothing says nothing of any."""
    if empty.any() and not empty.all():
        where = table.where(int(np.argmax(empty)), column)
        raise DataError(f"{where}: empty, so the row's symbol is unknown; write it, or remove the {table.unit}")
