"""Bars and trades from files of any vendor.

From bytes to bars, each step in the modules that bear its name:

1. ``sources``: which files a path stands for. ``packed``, ``text``: their bytes, unpacked, as UTF-8.
2. ``formats``: one module a vendor or file type, each with a ``FORMAT``: how its files are recognised and opened as a
   ``source``. ``text_file`` opens text: ``beginning`` finds its names of columns, ``text_rows`` its rows.
3. ``table``: some of a file's columns, whole or chunk by chunk. ``columns``: which of them is which of ours.
4. ``rows``: the rows of one symbol (``symbols``), their times (``times``) and ``numbers``.
5. ``bars``: raw bars from them (``series`` refuses two series in one). ``pipeline.market.trade_files`` makes trades.

``options`` are the user's, ``limits`` keep files made to fill the memory out.
"""

from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.reading import RawBars, bar_files, format_names, read_bars

__all__ = ["RawBars", "ReadOptions", "bar_files", "format_names", "read_bars"]
