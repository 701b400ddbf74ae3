"""CryptoDataDownload's files: an address above the names, and volumes called after what they count (``Volume BTC``)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.market.readers.columns import bare_name
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.source import Format, Habits, Head, Source
from pipeline.market.readers.text_file import text_source

__all__ = ["FORMAT"]


def recognises(head: Head) -> bool:
    """Return True if the names have a date, a symbol, and two volumes each named after a currency."""
    return head.names >= {"date", "symbol"} and len(_volumes(head.fields)) == 2


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file; of the two volumes, the one in the coin that is traded: the symbol begins with its name."""
    source = text_source(path, options, delimiter=",")
    columns: dict[str, str] = {}
    symbol = next((name for name in source.names if bare_name(name) == "symbol"), None)
    if symbol is not None and (volumes := _volumes(source.names)):
        table, _ = next(source.tables([symbol], 1))
        pair = bare_name(table.cell(0, symbol)) if len(table.lines) else ""
        columns["volume"] = next((name for name in volumes if pair.startswith(_currency(name))), volumes[0])
    return replace(source, habits=Habits(time_zone="UTC", decimal=".", columns=columns))


def _volumes(names: Sequence[str]) -> list[str]:
    return [name for name in names if bare_name(name).startswith("volume") and _currency(name)]


def _currency(name: str) -> str:
    return bare_name(name).removeprefix("volume")


FORMAT = Format("cryptodatadownload", recognises, open_file)
