"""Databento's bars as CSV: times as ``ts_event``, prices with a point or as whole numbers of 1e-9.

Its fixed-point prices: https://databento.com/docs/standards-and-conventions/common-fields-enums-types
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.market.readers.columns import bare_name, match_columns
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.table import Table, is_text
from pipeline.market.readers.text import head_lines, split_line
from pipeline.market.readers.text_file import read_text

__all__ = ["FORMAT", "with_prices"]

_UNIT = 1e9
_NONE = 2**63 - 1  # stands for no price
_PRICES = ("open", "high", "low", "close")


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the first line has the names that each of Databento's records has."""
    lines = head_lines(head)
    names = {bare_name(name) for name in split_line(lines[0], ",")} if lines else set()
    return names >= {"tsevent", "publisherid", "instrumentid", "open"}


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file."""
    text = read_text(path, options, delimiter=",")
    layout = match_columns(text.names, options, path)
    return raw_bars(with_prices(text.table(layout.needed), layout.columns), layout, options, decimal=".")


def with_prices(table: Table, columns: Mapping[str, str]) -> Table:
    """The table with prices in units, where they all are whole numbers of 1e-9."""
    names = [columns[ours] for ours in _PRICES]
    whole = {name: each for name in names if (each := _whole_numbers(table, name)) is not None}
    if len(whole) < len(names):
        return table
    prices = {
        name: pa.chunked_array([pa.array(np.where(each == _NONE, np.nan, each / _UNIT))])
        for name, each in whole.items()
    }
    return replace(table, columns={**table.columns, **prices})


def _whole_numbers(table: Table, column: str) -> "np.ndarray | None":
    values = table.columns[column]
    if is_text(values.type):
        values = table.texts(column)
        if not pc.all(pc.match_substring_regex(values, r"^-?\d{1,19}$").fill_null(True)).as_py():
            return None
        values = values.cast(pa.int64())
    elif not pa.types.is_integer(values.type):
        return None
    return np.asarray(values.fill_null(_NONE).to_numpy(), dtype=np.int64)


FORMAT = Format("databento", recognises, read)
