"""Read a source of bars: a file, a folder or a glob, each file in its own format."""

import functools
import importlib
import os
import pkgutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.readers import formats
from pipeline.market.readers.bars import BarReader
from pipeline.market.readers.beginning import beginning
from pipeline.market.readers.options import NAMED_BY_PLACE, OPTIONAL_COLUMNS, ReadOptions, to_set
from pipeline.market.readers.source import Format, Head, Source
from pipeline.market.readers.sources import expanded_path, files_of
from pipeline.market.readers.symbols import OneSymbol, SeveralSymbolsError
from pipeline.market.readers.text import head_lines, read_head

__all__ = ["RawBars", "bar_files", "format_names", "open_bars", "read_bars"]

_DEFAULTS = ReadOptions()


@dataclass(frozen=True)
class RawBars:
    """Bars as a source holds them, before cleaning.

    Attributes
    ----------
    frame
        ``timestamp`` (UTC nanoseconds, the bar's open), ``open high low close volume`` (float64, NaN where
        empty), what there is of ``contract num_trades bid_volume ask_volume``, ``source_file`` and
        ``source_line`` (from 1: a line of a text file, a row elsewhere).
    format
        The format, or several joined by commas.
    description
        One sentence that says what was taken and how it was read.
    zone
        The zone that times without one were read in, in the first file of such times; None where all carry theirs.
    offset
        The one offset from UTC (``-05:00``) that letters in place of a zone (``EST``) were read as, in the first file.
    """

    frame: pd.DataFrame
    format: str
    description: str
    zone: str | None = None
    offset: str = ""


@functools.cache
def _formats() -> tuple[Format, ...]:
    """The formats there are, in the order they are asked."""
    modules = (
        importlib.import_module(f"{formats.__name__}.{each.name}") for each in pkgutil.iter_modules(formats.__path__)
    )
    found = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return tuple(sorted(found, key=lambda each: (each.priority, each.name)))


def format_names() -> tuple[str, ...]:
    """The formats there are, sorted."""
    return tuple(sorted(each.name for each in _formats()))


def read_bars(
    path: str | os.PathLike[str], options: ReadOptions = _DEFAULTS, *, instrument: str | None = None
) -> RawBars:
    """Bars from a file, a folder or a glob.

    Parameters
    ----------
    path
        A file; a folder, of which all files with a suffix of bars are read, in the order of their names; or a
        glob (``data/ES*.csv``, ``data/**/*.parquet``). Text files may be packed with gzip or Zstandard.
    options
        Options that can't be detected from the files.
    instrument
        Whose bars are wanted: where ``options`` names no symbol and a file holds several, its rows are taken if the
        file calls it so too.

    Raises
    ------
    DataError
        For what can't be read, naming file, line and column and saying what to do.
    ConfigurationError
        For a format that there is not.
    """
    files = bar_files(expanded_path(path))
    counts: Counter[tuple[str, str]] = Counter()
    readers: list[BarReader] = []
    frames: list[pd.DataFrame] = []
    for file in files:
        kind, source = open_bars(file, options)
        reader, frame = _read(source, options, instrument)
        readers.append(reader)
        frames.append(frame)
        counts[kind.name, reader.reading] += 1
    frame = _joined(frames)
    formats = ", ".join(dict.fromkeys(name for name, _ in counts))
    parts = [
        f"{name}: {reading}" + (f" ({count} file{'s' * (count > 1)})" if len(files) > 1 else "")
        for (name, reading), count in counts.items()
    ]
    if len(parts) > 4:
        parts = [*parts[:3], f"and {len(parts) - 3} readings more"]
    contracts = list(dict.fromkeys(each.contract for each in readers if each.contract is not None))
    if contracts:
        parts.append(f"contract {', '.join(contracts)} from the name of the file")
    zone = next((each.zone for each in readers if each.zone is not None), None)
    return RawBars(frame, formats, "; ".join(parts), zone, readers[0].offset)


def bar_files(path: Path) -> list[Path]:
    """The files that a file, a folder or a glob stands for, in the order they are read; an error for none."""
    return files_of(path, sorted({suffix for each in _formats() for suffix in each.suffixes}))


def open_bars(path: Path, options: ReadOptions) -> tuple[Format, Source]:
    """Open one file in the format that the options name or that its beginning shows.

    Raises
    ------
    DataError
        For a file that can't be read or is of no known format.
    ConfigurationError
        For a format that there is not.
    """
    kind = _named_format(options) or _detected(path, options)
    return kind, kind.open(path, options)


def _read(source: Source, options: ReadOptions, instrument: str | None) -> tuple[BarReader, pd.DataFrame]:
    reader = BarReader(source, options, OneSymbol(options.file_symbol))
    try:
        table, _ = next(reader.tables(None))
        reader.symbols.refuse_absent(table.path)
        if len(table.lines) == 0:
            raise DataError(f"{table.path} has a header and no rows; give a file that holds some")
        frame = reader.bars(table)
    except SeveralSymbolsError as error:
        if instrument is None or instrument.upper() not in map(str.upper, error.symbols):
            raise
        chosen: dict[str, object] = {"file_symbol": instrument}
        if error.evidence:
            chosen["columns"] = {**options.columns, "symbol": error.column}
        return _read(source, options.model_copy(update=chosen), None)
    return reader, frame


def _named_format(options: ReadOptions) -> Format | None:
    if options.format is None:
        return None
    for each in _formats():
        if each.name == options.format:
            return each
    raise ConfigurationError(f"format {options.format!r} is unknown; set one of {', '.join(format_names())}")


def _detected(path: Path, options: ReadOptions) -> Format:
    head = read_head(path, options.skip_rows)
    if not head.strip():
        raise DataError(f"{path} is empty; give a file that holds rows")
    text = head_lines(head)
    if text and head.lstrip()[:1] not in (b"[", b"{"):
        text = beginning(head, options).lines
    beginning_of_file = Head(path, head, text)
    for each in _formats():
        named = options.names is None or each.name in NAMED_BY_PLACE
        if named and (each.recognises(beginning_of_file) or (options.names is not None and each.name == "generic_csv")):
            return each
    if head.startswith(b"PK\x03\x04"):
        raise DataError(f"{path} is a zip archive; unpack it and give the files that are in it")
    if not text:
        raise DataError(f"{path} is neither text nor a known binary format ({', '.join(format_names())})")
    raise DataError(
        f"{path}, line 1: {text[0].strip()[:80]!r} has no known format; "
        + to_set("format", "FORMAT")
        + f" to one of {', '.join(format_names())}, or, where the file has no header, "
        + to_set("names", "NAME,NAME,...")
    )


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    if len(frames) == 1:
        return frames[0]
    joined = pd.concat(frames, ignore_index=True)
    last = ["source_file", "source_line"]
    values = [name for name in joined.columns if name not in (*OPTIONAL_COLUMNS, *last)]
    return joined[[*values, *(name for name in OPTIONAL_COLUMNS if name in joined), *last]]
