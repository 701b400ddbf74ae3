"""Read a source of bars: a file, a folder or a glob, each file in its own format."""

import glob
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.readers import binance, generic_csv, ninjatrader, parquet, sierra_chart, tradingview
from pipeline.market.readers.format import Format
from pipeline.market.readers.options import OPTIONAL_COLUMNS, ReadOptions
from pipeline.market.readers.text import head_lines, read_head

__all__ = ["RawBars", "bar_files", "format_names", "read_bars"]

# In the order they are asked: from the most particular to the one that takes any names.
FORMATS: tuple[Format, ...] = (
    parquet.FORMAT,
    ninjatrader.FORMAT,
    sierra_chart.FORMAT,
    binance.FORMAT,
    tradingview.FORMAT,
    generic_csv.FORMAT,
)
SUFFIXES = (".csv", ".json", ".parquet", ".pq", ".tsv", ".txt")
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
    """

    frame: pd.DataFrame
    format: str
    description: str


def format_names() -> tuple[str, ...]:
    """The formats there are, sorted."""
    return tuple(sorted(each.name for each in FORMATS))


def read_bars(path: str | os.PathLike[str], options: ReadOptions = _DEFAULTS) -> RawBars:
    """Bars from a file, a folder or a glob.

    Parameters
    ----------
    path
        A file; a folder, of which all files with a suffix of bars are read, in the order of their names; or a
        glob (``data/ES*.csv``, ``data/**/*.parquet``). Text files may be packed with gzip.
    options
        What can't be told from the files.

    Raises
    ------
    DataError
        For what can't be read, naming file, line and column and saying what to do.
    ConfigurationError
        For a format that there is not.
    """
    chosen = _named_format(options)
    files = bar_files(Path(os.path.expanduser(path)))  # noqa: PTH111 (pathlib's raises for an unknown user)
    counts: Counter[tuple[str, str]] = Counter()
    frames, contracts = [], []
    for file in files:
        kind = chosen or _detected(file)
        bars = kind.read(file, options)
        frames.append(bars.frame)
        counts[kind.name, bars.reading] += 1
        if bars.contract is not None and bars.contract not in contracts:
            contracts.append(bars.contract)
    frame = _joined(frames)
    formats = ", ".join(dict.fromkeys(name for name, _ in counts))
    parts = [
        f"{name}: {reading}" + (f" ({count} file{'s' * (count > 1)})" if len(files) > 1 else "")
        for (name, reading), count in counts.items()
    ]
    if len(parts) > 4:
        parts = [*parts[:3], f"and {len(parts) - 3} readings more"]
    if contracts:
        parts.append(f"contract {', '.join(contracts)} from the name of the file")
    return RawBars(frame, formats, "; ".join(parts))


def _named_format(options: ReadOptions) -> Format | None:
    if options.header is not None:
        return generic_csv.FORMAT
    if options.format is None:
        return None
    for each in FORMATS:
        if each.name == options.format:
            return each
    raise ConfigurationError(f"format {options.format!r} is unknown; set one of {', '.join(format_names())}")


def _detected(path: Path) -> Format:
    head = read_head(path)
    if not head.strip():
        raise DataError(f"{path} is empty; give a file that holds bars")
    for each in FORMATS:
        if each.recognises(path, head):
            return each
    lines = head_lines(head)
    if not lines:
        raise DataError(f"{path} is neither text nor Parquet; give a file in one of {', '.join(format_names())}")
    raise DataError(
        f"{path}, line 1: {lines[0].strip()[:80]!r} is of no known format; set format to one of "
        f"{', '.join(format_names())}, or header to the names of the columns where the file has none"
    )


def bar_files(path: Path) -> list[Path]:
    """The files that a file, a folder or a glob stands for, in the order they are read; an error for none."""
    try:
        if path.is_file():
            return [path]
        if path.is_dir():
            files = sorted(each for each in path.iterdir() if _holds_bars(each))
            if not files:
                raise DataError(f"folder {path} holds no file with one of the suffixes {', '.join(SUFFIXES)}")
            return files
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    text = str(path)
    if any(mark in text for mark in "*?["):
        found = sorted(Path(each) for each in glob.glob(text, recursive=True))  # noqa: PTH207 (takes absolute ones)
        files = [each for each in found if each.is_file()]
        if not files:
            raise DataError(f"no file matches {path}; check the folder and the pattern")
        return files
    if path.exists():
        raise DataError(f"{path} is no ordinary file; give a file, a folder or a glob such as data/*.csv")
    raise DataError(f"{path} does not exist; give a file, a folder or a glob such as data/*.csv")


def _holds_bars(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return path.is_file() and not name.startswith(".") and name.endswith(SUFFIXES)


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    if len(frames) == 1:
        return frames[0]
    joined = pd.concat(frames, ignore_index=True)
    last = ["source_file", "source_line"]
    values = [name for name in joined.columns if name not in (*OPTIONAL_COLUMNS, *last)]
    return joined[[*values, *(name for name in OPTIONAL_COLUMNS if name in joined), *last]]
