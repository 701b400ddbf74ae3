"""Bars of files that keep columns with their types: Parquet and Arrow's own."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.market.readers.columns import distinct_names, match_columns
from pipeline.market.readers.databento import with_prices
from pipeline.market.readers.format import FileBars, raw_bars
from pipeline.market.readers.limits import MAX_COLUMNS, MAX_ROWS
from pipeline.market.readers.options import ReadOptions, refuse_settings
from pipeline.market.readers.table import Table

__all__ = ["columnar_bars", "refuse_size"]


def columnar_bars(
    path: Path, options: ReadOptions, kind: str, names: Sequence[str], read: Callable[[list[str]], pa.Table]
) -> FileBars:
    """The bars of a file of typed columns; ``source_line`` is the row, from 1.

    Parameters
    ----------
    path, options
        The file, and the user's options for it.
    kind
        What to call such a file.
    names
        Its columns.
    read
        Reads some of them.
    """
    refuse_settings(path, options, kind, "names", "skip_rows", "skip_footer", "delimiter")
    layout = match_columns(distinct_names(names), options, path)
    columns = read(layout.needed)
    lines = np.arange(1, len(columns) + 1, dtype=np.int64)
    others = [name for name in distinct_names(names) if name not in layout.needed]

    def unread() -> dict[str, pa.ChunkedArray]:
        rest = read(others)
        return {name: rest.column(name) for name in others}

    table = Table(path, {name: columns.column(name) for name in layout.needed}, lines, "row", unread=unread)
    if "rtype" in names and "ts_event" in names:
        table = with_prices(table, layout.columns)
    return raw_bars(table, layout, options)


def refuse_size(path: Path, rows: int, columns: int) -> None:
    """Refuse a file without rows, and one that claims more than any of bars has: a few bytes may claim any number."""
    if rows > MAX_ROWS:
        raise DataError(f"{path} claims {rows:,} rows, over {MAX_ROWS:,}; split it")
    if columns > MAX_COLUMNS:
        raise DataError(f"{path} has {columns:,} columns, over {MAX_COLUMNS:,}; give a file of bars")
    if rows == 0:
        raise DataError(f"{path} is empty; give a file that holds bars")
