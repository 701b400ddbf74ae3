"""Arrow's own files: feather (which freqtrade writes by default), and IPC files and streams."""

from pathlib import Path

import pyarrow as pa
import pyarrow.feather

from pipeline.errors import DataError
from pipeline.market.readers.columnar import columnar_bars, refuse_size
from pipeline.market.readers.format import FileBars, Format
from pipeline.market.readers.limits import MAX_DOCUMENT_BYTES, MIB
from pipeline.market.readers.options import ReadOptions

__all__ = ["FORMAT"]

_FILES = (b"ARROW1", b"FEA1")
_STREAM = b"\xff\xff\xff\xff"


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file begins as Arrow's do, or is called so."""
    return head.startswith((*_FILES, _STREAM)) or path.suffix.lower() in FORMAT.suffixes


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file; ``source_line`` is the row, from 1."""
    try:
        if path.stat().st_size > 2 * MAX_DOCUMENT_BYTES:
            raise DataError(f"{path} is larger than {2 * MAX_DOCUMENT_BYTES // MIB:,} MiB; split it, or write Parquet")
        with path.open("rb") as file:
            stream = file.read(4) == _STREAM
        if stream:
            with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as batches:
                table = batches.read_all()
        else:
            table = pyarrow.feather.read_table(path, memory_map=False)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = str(error).split("\n")[0].strip().rstrip(".")[:200]
        raise DataError(f"{path} is not a whole Arrow file ({reason}); fetch or write it again") from error
    refuse_size(path, table.num_rows, table.num_columns)
    return columnar_bars(path, options, FORMAT.name, table.column_names, table.select)


FORMAT = Format("arrow", recognises, read, priority=10, suffixes=(".feather", ".arrow", ".ipc"))
