"""Series that a file holds together, found by the rows: the column that tells them apart may have any name."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.market.readers.symbols import SeveralSymbolsError, distinct_symbols
from pipeline.market.readers.table import Table, texts_of

__all__ = ["refuse_several_series"]

_PRICES = ["open", "high", "low", "close"]
_FEW = 0.01  # of the rows: corrections of a vendor, which cleaning quarantines
_OVERLAP = 0.2  # of the rows: more than the days around a roll
_LEFT, _LEFT_BY_NUMBERS = 0.5, 0.02  # of the clashes, that a column may leave to another one, or to repeated rows
_LEAP, _LEAPS = np.log(1.05), 0.1  # from row to row, and in how many of them: no market moves so
_ALIKE = 0.95


def refuse_several_series(table: Table, bars: pd.DataFrame, contract: str | None) -> None:
    """Refuse rows of several series, where a column of whatever name tells them apart.

    It does so where rows of one time have other prices and other values in it, or where the price leaps whenever its
    value changes.

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
    clashes, leaps = _clashes(bars), _leaps(bars)
    clash, leap = clashes >= max(2, _FEW * len(bars)), leaps.sum() >= max(10, _LEAPS * len(bars))
    if not clash and not leap:
        return
    for name, symbols in _columns(table, contract if clashes >= _OVERLAP * len(bars) else None):
        codes = pd.factorize(symbols.to_pandas())[0]
        evidence = ""
        if clash and _told_by_times(bars, codes, numbers=_all_numbers(symbols)):
            evidence = f"at the same times, in {clashes:,} of {len(bars):,} rows with other prices"
        elif leap and _told_by_leaps(bars, codes, leaps):
            evidence = f"and the price leaps between them, in {int(leaps.sum()):,} of {len(bars):,} rows"
        if evidence:
            raise SeveralSymbolsError(table, name, distinct_symbols(symbols), evidence)


def _clashes(bars: pd.DataFrame) -> int:
    """Count the rows with the time of an earlier one and other prices."""
    if not bars["timestamp"].duplicated().any():
        return 0
    known = bars.loc[bars["timestamp"].notna(), ["timestamp", *_PRICES]].drop_duplicates()
    return int(known["timestamp"].duplicated().sum())


def _leaps(bars: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark the rows whose close leaps to that of the next row, in order of time."""
    close = bars["close"].to_numpy()[_order(bars)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(np.diff(np.log(close))) > _LEAP


def _order(bars: pd.DataFrame) -> NDArray[np.int64]:
    return np.argsort(_instants(bars), kind="stable")


def _instants(bars: pd.DataFrame) -> NDArray[np.int64]:
    return pd.DatetimeIndex(bars["timestamp"]).asi8


def _told_by_times(bars: pd.DataFrame, codes: NDArray[np.int64], *, numbers: bool) -> bool:
    timed = np.asarray(bars["timestamp"].notna())
    at_once = pd.Series(codes[timed]).groupby(_instants(bars)[timed]).agg(["size", "nunique"])
    left = (at_once["size"] - at_once["nunique"]).sum() / (at_once["size"] - 1).sum()
    # A spread or a count differs between rows of one time by chance; numbers of series always do, and are few.
    few = codes.max() < 3 * at_once["size"].max()
    return bool(codes.max() > 0 and (left <= _LEFT_BY_NUMBERS and few if numbers else left <= _LEFT))


def _told_by_leaps(bars: pd.DataFrame, codes: NDArray[np.int64], leaps: NDArray[np.bool_]) -> bool:
    changes = np.diff(codes[_order(bars)]) != 0
    return bool(changes.any() and changes[leaps].mean() >= _ALIKE and leaps[changes].mean() >= _LEFT)


def _columns(table: Table, contract: str | None) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Columns that could name a row's series, as text: ``contract``, then those not read so far."""
    columns = {} if contract is None else {contract: table.columns[contract]}
    for name, values in {**columns, **table.unread()}.items():
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        if not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            yield name, texts_of(values)


def _all_numbers(symbols: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.match_substring_regex(symbols, r"^[-+]?\d[\d.,]*$")).as_py())
