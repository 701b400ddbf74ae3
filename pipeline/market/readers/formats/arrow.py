"""Arrow's own files: feather (which freqtrade writes by default), and IPC files and streams."""

from pathlib import Path

import pyarrow as pa
import pyarrow.feather

from pipeline.errors import DataError
from pipeline.market.readers.columns import distinct_names
from pipeline.market.readers.limits import MAX_DOCUMENT_BYTES, MAX_ROWS, MIB
from pipeline.market.readers.options import ReadOptions, refuse_settings
from pipeline.market.readers.source import Format, Head, Source, columns_source, damaged, refuse_size

__all__ = ["FORMAT"]

_FILES = (b"ARROW1", b"FEA1")
_STREAM = b"\xff\xff\xff\xff"


def recognises(head: Head) -> bool:
    """Return True if the file begins as Arrow files do, or has their suffix."""
    return head.data.startswith((*_FILES, _STREAM)) or head.path.suffix.lower() in FORMAT.suffixes


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file; its lines are rows, from 1."""
    refuse_settings(path, options, FORMAT.name, "names", "skip_rows", "skip_footer", "delimiter")
    try:
        if path.stat().st_size > 2 * MAX_DOCUMENT_BYTES:
            raise DataError(f"{path} is larger than {2 * MAX_DOCUMENT_BYTES // MIB:,} MiB; split it, or write Parquet")
        table = _table(path)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise damaged(path, "Arrow file", error, "download or write it again") from error
    refuse_size(path, table.num_rows, table.num_columns)
    names = distinct_names(table.column_names)
    columns = dict(zip(names, table.columns, strict=True))
    return columns_source(path, names, lambda needed: {name: columns[name] for name in needed}, table.num_rows)


def _table(path: Path) -> pa.Table:
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(_FILES[1]):
        return pyarrow.feather.read_table(path, memory_map=False)
    with pa.OSFile(str(path)) as source:
        stream = magic.startswith(_STREAM)
        with pa.ipc.open_stream(source) if stream else pa.ipc.open_file(source) as reader:
            batches: list[pa.RecordBatch] = []
            rows = 0
            for batch in reader if stream else map(reader.get_batch, range(reader.num_record_batches)):
                rows += batch.num_rows
                if rows > MAX_ROWS:  # packed, they may be few bytes
                    refuse_size(path, rows, batch.num_columns)
                batches.append(batch)
            return pa.Table.from_batches(batches, reader.schema)


FORMAT = Format("arrow", recognises, open_file, priority=10, suffixes=(".feather", ".arrow", ".ipc"))
