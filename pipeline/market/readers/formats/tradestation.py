"""TradeStation's data window saved as text: ``Up`` and ``Down`` volume apart, labelled by the close.

Its help says of a bar's time that it is the closing one, in exchange time
(http://help.tradestation.com/10_00/eng/tradestationhelp/symlist/ascii_3rd_party_data_guidelines.htm).
"""

from pathlib import Path

from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.source import Format, Habits, Head, Source
from pipeline.market.readers.text_file import text_source

__all__ = ["FORMAT"]

_NAMES = {"date", "time", "open", "high", "low", "close", "up", "down"}


def recognises(head: Head) -> bool:
    """Return True if the first line has TradeStation's names, and none for the total volume."""
    return head.names >= _NAMES and not head.names & {"vol", "volume"}


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file; the volume is what was traded on upticks and on downticks together."""
    return text_source(path, options, habits=Habits(label="close", volume_columns=("Up", "Down")))


FORMAT = Format("tradestation", recognises, open_file)
