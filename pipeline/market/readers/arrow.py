"""Arrow's own files: feather (which freqtrade writes by default), and IPC files and streams."""

from pathlib import Path

import pyarrow as pa
import pyarrow.feather

from pipeline.errors import DataError
from pipeline.market.readers.columnar import columnar_bars, refuse_size
from pipeline.market.readers.format import FileBars, Format
from pipeline.market.readers.limits import MAX_DOCUMENT_BYTES, MAX_ROWS, MIB
from pipeline.market.readers.options import ReadOptions

__all__ = ["FORMAT"]

_FILES = (b"ARROW1", b"FEA1")
_STREAM = b"\xff\xff\xff\xff"


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the file begins as Arrow files do, or has their suffix."""
    return head.startswith((*_FILES, _STREAM)) or path.suffix.lower() in FORMAT.suffixes


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file; ``source_line`` is the row, from 1."""
    try:
        if path.stat().st_size > 2 * MAX_DOCUMENT_BYTES:
            raise DataError(f"{path} is larger than {2 * MAX_DOCUMENT_BYTES // MIB:,} MiB; split it, or write Parquet")
        table = _table(path)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = str(error).split("\n")[0].strip().rstrip(".")[:200]
        raise DataError(
            f"{path} is an incomplete or damaged Arrow file ({reason}); download or write it again"
        ) from error
    refuse_size(path, table.num_rows, table.num_columns)
    return columnar_bars(path, options, FORMAT.name, table.column_names, table.select)


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


FORMAT = Format("arrow", recognises, read, priority=10, suffixes=(".feather", ".arrow", ".ipc"))
