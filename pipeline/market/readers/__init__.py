"""Bars from files: one module a format, one function to read them all.

A new format is a module of this package with a ``FORMAT`` (:class:`pipeline.market.readers.format.Format`): it is found
automatically.
"""

from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.reading import RawBars, bar_files, format_names, read_bars

__all__ = ["RawBars", "ReadOptions", "bar_files", "format_names", "read_bars"]
