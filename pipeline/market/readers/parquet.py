"""Parquet files, the times in a column or in the index pandas stored."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from pipeline.errors import DataError
from pipeline.market.readers.columns import match_columns
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.table import Table

__all__ = ["FORMAT"]

MAX_ROWS = 200_000_000  # a file of a few bytes may claim any number
_MAGIC = b"PAR1"


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file begins as Parquet does, or is called so."""
    return head.startswith(_MAGIC) or path.suffix.lower() in (".parquet", ".pq")


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file; ``source_line`` is the row, from 1."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            if file.metadata.num_rows > MAX_ROWS:
                raise DataError(f"{path} claims {file.metadata.num_rows:,} rows, over {MAX_ROWS:,}; split it")
            if file.metadata.num_rows == 0:
                raise DataError(f"{path} is empty; give a file that holds bars")
            layout = match_columns(file.schema_arrow.names, options, path)
            columns = file.read(columns=layout.needed)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = str(error).split("\n")[0].strip().rstrip(".")[:200]
        raise DataError(f"{path} is not a whole Parquet file ({reason}); fetch or write it again") from error
    lines = np.arange(1, len(columns) + 1, dtype=np.int64)
    table = Table(path, {name: columns.column(name) for name in layout.needed}, lines, "row")
    return raw_bars(table, layout, options)


FORMAT = Format("parquet", recognises, read)
