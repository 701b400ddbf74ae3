"""Sierra Chart's export: date and time of Chicago in two columns, ``Last`` as close, and trade counts."""

from pathlib import Path

from pipeline.market.readers.columns import bare_name, match_columns
from pipeline.market.readers.contracts import contract_from_code
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.text import head_lines, split_line
from pipeline.market.readers.text_file import read_text

__all__ = ["FORMAT"]

_NAMES = {"date", "time", "open", "high", "low", "last", "volume"}
_TRADES = {"numberoftrades", "oftrades"}


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the first line has Sierra Chart's names."""
    lines = head_lines(head)
    names = {bare_name(name) for name in split_line(lines[0])} if lines else set()
    return names >= _NAMES and bool(names & _TRADES)


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file."""
    text = read_text(path, options)
    layout = match_columns(text.names, options, path)
    return raw_bars(
        text.table(layout.needed), layout, options, time_zone="America/Chicago", contract=contract_from_code(path)
    )


FORMAT = Format("sierra_chart", recognises, read)
