"""Databento's bars as CSV: times as ``ts_event``, prices with a point or as whole numbers of 1e-9."""

from pathlib import Path

from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.source import Format, Habits, Head, Source
from pipeline.market.readers.text_file import text_source

__all__ = ["FORMAT"]


def recognises(head: Head) -> bool:
    """Return True if the first line has the names that each of Databento's records has."""
    return head.names >= {"tsevent", "publisherid", "instrumentid", "open"}


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file."""
    return text_source(path, options, delimiter=",", habits=Habits(decimal="."))


FORMAT = Format("databento", recognises, open_file)
