"""Databento's binary files (DBN), plain or packed with Zstandard, by the vendor's own decoder.

https://databento.com/docs/standards-and-conventions/databento-binary-encoding
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import databento_dbn
import numpy as np
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.market.readers.limits import MAX_ROWS, MIB
from pipeline.market.readers.options import ReadOptions, refuse_settings
from pipeline.market.readers.packed import unpacked
from pipeline.market.readers.source import Format, Habits, Head, Source, columns_source, damaged

__all__ = ["FORMAT"]

_MAGIC = b"DBN"
_BLOCK = 4 * MIB
_FIELDS = ("ts_event", "instrument_id", "open", "high", "low", "close", "volume")


def recognises(head: Head) -> bool:
    """Return True if the file, decompressed, begins as DBN does."""
    return head.data.startswith(_MAGIC)


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file; its lines are records, from 1."""
    refuse_settings(path, options, FORMAT.name, "names", "skip_rows", "skip_footer", "delimiter")
    metadata, bars = None, []
    try:
        for record in _records(path):
            if type(record).__name__ == "Metadata":
                metadata = record
            elif type(record).__name__ == "OHLCVMsg":
                bars.append(tuple(getattr(record, name) for name in _FIELDS))
            elif type(record).__name__ not in ("SymbolMappingMsg", "SystemMsg"):
                raise DataError(
                    f"{path} holds {type(record).__name__} records, not bars; download one of the ohlcv schemas"
                )
            if len(bars) > MAX_ROWS:
                raise DataError(f"{path} holds more than {MAX_ROWS:,} bars; split it")
        values = np.array(bars, dtype=np.int64)
    except (databento_dbn.DBNError, RuntimeError, OverflowError) as error:
        raise damaged(path, "DBN file", error, "download it again") from error
    if not bars:
        raise DataError(f"{path} is empty; give a file that holds bars")
    columns: dict[str, Any] = {name: values[:, place] for place, name in enumerate(_FIELDS)}
    symbols = _symbols(metadata, columns["instrument_id"], columns["ts_event"])
    if symbols is not None:
        columns["symbol"] = symbols
    arrays = {name: pa.chunked_array([pa.array(each)]) for name, each in columns.items()}
    habits = Habits(fixed_point=True)
    return columns_source(
        path, list(arrays), lambda needed: {name: arrays[name] for name in needed}, len(bars), habits=habits
    )


def _records(path: Path) -> Iterator[Any]:
    with unpacked(path) as file:
        decoder = databento_dbn.DBNDecoder(compression=databento_dbn.Compression.NONE)  # type: ignore[arg-type]
        while block := file.read(_BLOCK):
            decoder.write(block)
            yield from decoder.decode()
        if len(decoder.buffer()) > 0:
            raise DataError(f"{path} is incomplete DBN data (it ends early); download it again")


def _symbols(metadata: Any, instruments: np.ndarray, times: np.ndarray) -> list[str | None] | None:
    """The symbol of each record, by the mappings that the file keeps, which hold for days; None where it has none."""
    known: dict[int, list[tuple[dt.date, dt.date, str]]] = {}
    for symbol, intervals in (metadata.mappings if metadata is not None else {}).items():
        for each in intervals:
            if str(each["symbol"]).isdigit():
                known.setdefault(int(each["symbol"]), []).append((each["start_date"], each["end_date"], str(symbol)))
    if not known:
        return None
    days = times.astype("M8[ns]").astype("M8[D]").astype(object)
    return [
        next((name for start, end, name in known.get(int(one), ()) if start <= day < end), None)
        for one, day in zip(instruments, days, strict=True)
    ]


FORMAT = Format("dbn", recognises, open_file, priority=10, suffixes=(".dbn",))
