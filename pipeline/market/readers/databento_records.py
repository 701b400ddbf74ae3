"""Databento's prices as whole numbers of 1e-9.

https://databento.com/docs/standards-and-conventions/common-fields-enums-types
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.market.readers.columns import bare_name
from pipeline.market.readers.table import Table, is_text

__all__ = ["in_units", "is_databento"]

_UNIT = 1e9
_NONE = 2**63 - 1  # stands for no price


def is_databento(names: Iterable[str]) -> bool:
    """Return True if a file's columns are those of Databento's records, whose prices may be such numbers."""
    bare = {bare_name(name) for name in names}
    return "tsevent" in bare and bool(bare & {"rtype", "publisherid"})


def in_units(table: Table, columns: Sequence[str]) -> Table:
    """The table with these columns of prices in units, where they all are whole numbers of 1e-9."""
    whole = {name: each for name in columns if (each := _whole_numbers(table, name)) is not None}
    if len(whole) < len(columns):
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
