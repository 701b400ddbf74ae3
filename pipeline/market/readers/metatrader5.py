"""MetaTrader 5's export of bars: ``<DATE>``, ``<TIME>``, ..., ``<TICKVOL>``, ``<VOL>``, ``<SPREAD>`` between tabs."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from pipeline.market.readers.columns import bare_name, match_columns
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.text import head_lines, split_line
from pipeline.market.readers.text_file import read_text

__all__ = ["FORMAT"]


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the first line has MetaTrader's names, with both volumes or the ticks' alone."""
    lines = head_lines(head)
    names = split_line(lines[0]) if lines else []
    return "<DATE>" in names and "<TICKVOL>" in names


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file; where the broker knows no volume and ``<VOL>`` is zero throughout, ticks stand for it."""
    text = read_text(path, options)
    by_bare = {bare_name(name): name for name in text.names}
    if "tickvol" in by_bare and "volume" not in options.columns and not options.volume_columns:
        volume = by_bare["tickvol"]
        if "vol" in by_bare:
            traded = text.table([by_bare["vol"]]).texts(by_bare["vol"])
            zero = pc.match_substring_regex(traded, r"^0*[.,]?0*$").fill_null(True)
            if not np.asarray(zero.to_numpy(), dtype=bool).all():
                volume = by_bare["vol"]
        options = options.model_copy(update={"columns": {**options.columns, "volume": volume}})
    layout = match_columns(text.names, options, path)
    return raw_bars(text.table(layout.needed), layout, options)


FORMAT = Format("metatrader5", recognises, read)
