"""Parquet files, the times in a column or in the index pandas stored."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from pipeline.errors import DataError
from pipeline.market.readers.columns import distinct_names
from pipeline.market.readers.options import TextOptions, refuse_settings
from pipeline.market.readers.source import Format, Head, Source, columns_source, damaged, refuse_size
from pipeline.market.readers.table import Table

__all__ = ["FORMAT", "is_parquet"]

_MAGIC = b"PAR1"


def is_parquet(head: Head) -> bool:
    """Return True if the file begins as Parquet does, or has its suffix."""
    return head.data.startswith(_MAGIC) or head.path.suffix.lower() in FORMAT.suffixes


def open_file(path: Path, options: TextOptions) -> Source:
    """Open one file; its lines are rows, from 1."""
    refuse_settings(path, options, FORMAT.name, "names", "skip_rows", "skip_footer", "delimiter")
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            count = file.metadata.num_rows
            refuse_size(path, 1 if count else 0, file.metadata.num_columns)
            names = distinct_names(file.schema_arrow.names)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise _damaged(path, error) from error

    def read(needed: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        with pyarrow.parquet.ParquetFile(path) as file:
            table = file.read(columns=list(needed))
        return {name: table.column(name) for name in needed}

    def tables(needed: Sequence[str], rows: int | None) -> Iterator[tuple[Table, float]]:
        try:
            if rows is None:
                refuse_size(path, count, len(names))
                yield from columns_source(path, names, read, count).tables(needed, None)
                return
            with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
                done = 0
                for batch in file.iter_batches(batch_size=rows, columns=list(needed)):
                    columns = {name: pa.chunked_array([batch.column(name)]) for name in needed}
                    lines = np.arange(done + 1, done + batch.num_rows + 1, dtype=np.int64)
                    done += batch.num_rows
                    yield Table(path, columns, lines, "row"), done / count
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise _damaged(path, error) from error

    return Source(path, tuple(names), tables)


def _damaged(path: Path, error: Exception) -> DataError:
    return damaged(path, "Parquet file", error, "download or write it again")


FORMAT = Format("parquet", is_parquet, open_file, priority=10, suffixes=(".parquet", ".pq"))
