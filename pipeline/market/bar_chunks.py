"""Clean bars of files larger than memory, chunk by chunk."""

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import pandas as pd

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.cleaning import CleanBars, OffTick, clean_bars
from pipeline.market.instruments import Instrument
from pipeline.market.readers.bars import BarReader
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.reading import bar_files, open_bars
from pipeline.market.readers.rows import Progress, tables_of_files
from pipeline.market.readers.sources import expanded_path
from pipeline.market.readers.symbols import OneSymbol

__all__ = ["clean_bar_chunks"]

_DEFAULTS = ReadOptions()


def clean_bar_chunks(
    path: str | PathLike[str],
    instrument: Instrument,
    options: ReadOptions = _DEFAULTS,
    *,
    off_tick: OffTick = "snap",
    chunk_rows: int = 1 << 18,
    progress: Progress | None = None,
) -> Iterator[CleanBars]:
    """Clean bars of a file, folder or glob, in chunks of about ``chunk_rows`` rows, in the order they are written.

    Every row is kept or quarantined as :func:`pipeline.market.cleaning.clean_bars` does it. Chunks must follow one
    another in time, since a repeated bar is found only among the rows in memory.

    Parameters
    ----------
    path
        Files of any format; text (also packed) and Parquet are read in chunks, the others a file at a time.
    instrument, off_tick
        As in :func:`pipeline.market.cleaning.clean_bars`.
    options
        As in :func:`pipeline.market.readers.read_bars`; where bars are labelled by their close, ``bar`` is needed.
    progress
        Called after every chunk with the rows so far and the share of the bytes read (0 to 1).

    Raises
    ------
    DataError
        For what can't be read, naming file, line and column; for a chunk that begins before the last one's end.
    ConfigurationError
        For a close label without ``bar``.
    """
    symbols = OneSymbol(options.file_symbol)

    def reader(file: Path) -> BarReader:
        found = BarReader(open_bars(file, options)[1], options, symbols, whole=False)
        if found.label == "close" and options.bar is None:
            raise ConfigurationError(
                f"{file}: bars labelled by their close and read in chunks need their length; set bar"
            )
        return found

    latest: pd.Timestamp | None = None
    for rows, table in tables_of_files(bar_files(expanded_path(path)), reader, chunk_rows, progress):
        if len(table.lines) == 0:  # comments, or other symbols' rows
            continue
        clean = clean_bars(rows.bars(table), instrument, off_tick=off_tick)
        if len(clean.bars):
            first = clean.bars["timestamp"].iloc[0]
            if latest is not None and first <= latest:
                raise DataError(
                    f"{table.path}: bars around {table.unit} {table.lines[0]} begin at {first.isoformat()}, not after "
                    f"{latest.isoformat()} before them; sort the file by time, or read it whole"
                )
            latest = clean.bars["timestamp"].iloc[-1]
        yield clean
