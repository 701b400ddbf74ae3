"""Parquet files, the times in a column or in the index pandas stored."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from pipeline.errors import DataError
from pipeline.market.readers.columnar import columnar_bars, refuse_size
from pipeline.market.readers.format import FileBars, Format
from pipeline.market.readers.options import ReadOptions

__all__ = ["FORMAT"]

_MAGIC = b"PAR1"


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the file begins as Parquet does, or has its suffix."""
    return head.startswith(_MAGIC) or path.suffix.lower() in FORMAT.suffixes


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file; ``source_line`` is the row, from 1."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            refuse_size(path, file.metadata.num_rows, file.metadata.num_columns)
            names = file.schema_arrow.names
            return columnar_bars(path, options, FORMAT.name, names, lambda needed: file.read(columns=needed))
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = str(error).split("\n")[0].strip().rstrip(".")[:200]
        raise DataError(
            f"{path} is an incomplete or damaged Parquet file ({reason}); download or write it again"
        ) from error


FORMAT = Format("parquet", recognises, read, priority=10, suffixes=(".parquet", ".pq"))
