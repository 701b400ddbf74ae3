"""The rows of one symbol, in a file that may hold several."""

from collections.abc import Sequence

import numpy as np

from pipeline.errors import DataError
from pipeline.market.readers.options import to_set
from pipeline.market.readers.table import Table

__all__ = ["SeveralSymbolsError", "of_one_symbol"]


class SeveralSymbolsError(DataError):
    """A file of several symbols, of which none was chosen.

    Attributes
    ----------
    symbols
        Those it holds.
    """

    def __init__(self, table: Table, column: str, symbols: Sequence[str]) -> None:
        few = ", ".join(symbols[:5]) + (", …" if len(symbols) > 5 else "")
        contracts = to_set("columns", f"'contract={column}'")
        super().__init__(
            f"{table.path}, column {column!r} holds {len(symbols)} symbols ({few}); "
            f"{to_set('file_symbol', symbols[0])} or to another of them, or, where they are the contracts of one "
            f"series, {contracts}"
        )
        self.symbols = tuple(symbols)


def of_one_symbol(table: Table, column: str | None, wanted: str | None) -> tuple[Table, str]:
    """The rows of the wanted symbol, or all where there is only one; and ``of SYMBOL`` for the sentence that says so.

    Raises
    ------
    DataError
        For several symbols without a choice (:class:`SeveralSymbolsError`), and for one that is not there.
    """
    if column is None:
        if wanted is not None:
            raise DataError(
                f"{table.path} has no column of symbols to find {wanted} in; leave file_symbol out, or "
                + to_set("columns", "'symbol=NAME'")
            )
        return table, ""
    symbols = table.texts(column)
    known = sorted(each for each in symbols.unique().to_pylist() if each is not None)
    if wanted is None:
        if len(known) > 1:
            raise SeveralSymbolsError(table, column, known)
        return table, ""
    keep = np.asarray(symbols.to_pandas() == wanted, dtype=bool)
    if not keep.any():
        raise DataError(f"{table.path} has no rows of symbol {wanted!r}; it holds {', '.join(known[:5])}")
    return table.select(keep), f" of {wanted}"
