"""Sierra Chart's export: date and time of Chicago in two columns, ``Last`` as close, and trade counts."""

from pathlib import Path

from pipeline.market.readers.contracts import contract_from_code
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.source import Format, Habits, Head, Source
from pipeline.market.readers.text_file import text_source

__all__ = ["FORMAT"]

_NAMES = {"date", "time", "open", "high", "low", "last", "volume"}
_TRADES = {"numberoftrades", "oftrades"}


def recognises(head: Head) -> bool:
    """Return True if the first line has Sierra Chart's names."""
    return head.names >= _NAMES and bool(head.names & _TRADES)


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file."""
    return text_source(path, options, habits=Habits(time_zone="America/Chicago", contract=contract_from_code(path)))


FORMAT = Format("sierra_chart", recognises, open_file)
