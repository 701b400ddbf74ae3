"""NinjaTrader's export: ``yyyyMMdd HHmmss;open;high;low;close;volume``, in UTC, labelled by the close."""

import re
from pathlib import Path

from pipeline.market.readers.contracts import contract_from_month
from pipeline.market.readers.options import BAR_COLUMNS, ReadOptions
from pipeline.market.readers.source import Format, Habits, Head, Source
from pipeline.market.readers.text_file import text_source

__all__ = ["FORMAT"]


def recognises(head: Head) -> bool:
    """Return True if the first line has a compact time and five fields after it, separated by semicolons."""
    return bool(head.lines) and re.fullmatch(r"\d{8} \d{6}(;[^;]*){5}", head.lines[0].strip()) is not None


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file."""
    habits = Habits(time_zone="UTC", label="close", contract=contract_from_month(path))
    return text_source(path, options, unnamed=lambda fields: BAR_COLUMNS, delimiter=";", habits=habits)


FORMAT = Format("ninjatrader", recognises, open_file, priority=40)
