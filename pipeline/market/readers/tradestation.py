"""TradeStation's data window saved as text: ``Up`` and ``Down`` volume apart, labelled by the close.

Its help says of a bar's time that it is the closing one, in exchange time
(http://help.tradestation.com/10_00/eng/tradestationhelp/symlist/ascii_3rd_party_data_guidelines.htm).
"""

from pathlib import Path

from pipeline.market.readers.columns import bare_name, match_columns
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.text import head_lines, split_line
from pipeline.market.readers.text_file import read_text

__all__ = ["FORMAT"]

_NAMES = {"date", "time", "open", "high", "low", "close", "up", "down"}


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the first line has TradeStation's names, and none for the total volume."""
    lines = head_lines(head)
    names = {bare_name(name) for name in split_line(lines[0])} if lines else set()
    return names >= _NAMES and not names & {"vol", "volume"}


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file; their volume is what was traded on upticks and on downticks together."""
    text = read_text(path, options)
    if not options.volume_columns and "volume" not in options.columns:
        options = options.model_copy(update={"volume_columns": ("Up", "Down")})
    layout = match_columns(text.names, options, path)
    return raw_bars(text.table(layout.needed), layout, options, label="close")


FORMAT = Format("tradestation", recognises, read)
