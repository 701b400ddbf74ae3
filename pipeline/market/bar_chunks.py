"""Clean bars of files larger than memory, chunk by chunk."""

import os
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import pandas as pd

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.cleaning import CleanBars, OffTick, clean_bars
from pipeline.market.file_chunks import Progress, open_chunks
from pipeline.market.instruments import Instrument
from pipeline.market.readers.columns import match_columns
from pipeline.market.readers.format import raw_bars
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.reading import bar_files

__all__ = ["clean_bar_chunks"]

_DEFAULTS = ReadOptions()
_FORMATS = ("generic_csv", "parquet")


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
        Parquet, or text with a line of column names (also packed with gzip).
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
        For a format that is not read in chunks, or a close label without ``bar``.
    """
    if options.format not in (None, *_FORMATS):
        raise ConfigurationError(f"format {options.format} is not read in chunks; convert the file to Parquet")
    if options.label == "close" and options.bar is None:
        raise ConfigurationError("bars labelled by their close and read in chunks need their length; set bar")
    if chunk_rows < 1:
        raise ConfigurationError(f"chunk_rows is {chunk_rows}; a chunk has 1 row or more")
    files = bar_files(Path(os.path.expanduser(path)))  # noqa: PTH111 (pathlib's raises for an unknown user)
    sizes = [file.stat().st_size for file in files]
    done = rows = 0
    latest: pd.Timestamp | None = None
    for file, size in zip(files, sizes, strict=True):
        source = open_chunks(file, options)
        layout = match_columns(source.names, options, file)
        styles = None
        for table, share in source.tables(layout.needed, chunk_rows):
            raw = raw_bars(table, layout, options, styles=styles)
            styles = raw.styles
            clean = clean_bars(raw.frame, instrument, off_tick=off_tick)
            if len(clean.bars):
                first = clean.bars["timestamp"].iloc[0]
                if latest is not None and first <= latest:
                    raise DataError(
                        f"{file}: bars around {table.unit} {table.lines[0]} begin at {first.isoformat()}, not after "
                        f"{latest.isoformat()} before them; sort the file by time, or read it whole"
                    )
                latest = clean.bars["timestamp"].iloc[-1]
            rows += len(table.lines)
            yield clean
            if progress is not None:
                progress(rows, (done + share * size) / max(sum(sizes), 1))
        done += size
