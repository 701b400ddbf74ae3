"""NinjaTrader's export: ``yyyyMMdd HHmmss;open;high;low;close;volume``, in UTC, labelled by the close."""

import re
from pathlib import Path

from pipeline.market.readers.columns import match_columns
from pipeline.market.readers.contracts import contract_from_month
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions, refuse_settings
from pipeline.market.readers.text import head_lines
from pipeline.market.readers.text_file import read_text

__all__ = ["FORMAT"]

_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the first line has a compact time and five fields after it, separated by semicolons."""
    lines = head_lines(head)
    return bool(lines) and re.fullmatch(r"\d{8} \d{6}(;[^;]*){5}", lines[0].strip()) is not None


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file, at their open."""
    refuse_settings(path, options, FORMAT.name, "columns", "volume_columns")
    text = read_text(path, options, names=_COLUMNS, delimiter=";")
    layout = match_columns(text.names, options, path)
    return raw_bars(
        text.table(layout.needed),
        layout,
        options,
        time_zone="UTC",
        label="close",
        contract=contract_from_month(path),
    )


FORMAT = Format("ninjatrader", recognises, read, priority=40)
