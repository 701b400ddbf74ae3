"""CryptoDataDownload's files: an address above the names, and volumes called after what they count (``Volume BTC``)."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.market.readers.columns import bare_name, match_columns
from pipeline.market.readers.format import FileBars, Format, raw_bars
from pipeline.market.readers.options import ReadOptions
from pipeline.market.readers.text import head_lines, split_line
from pipeline.market.readers.text_file import read_text

__all__ = ["FORMAT"]


def recognises(path: Path, head: bytes) -> bool:
    """Return True if the names have a date, a symbol, and two volumes each named after a currency."""
    lines = head_lines(head)
    names = split_line(lines[0], ",") if lines else []
    return {"date", "symbol"} <= {bare_name(name) for name in names} and len(_volumes(names)) == 2


def read(path: Path, options: ReadOptions) -> FileBars:
    """The bars of one file; of the two volumes, the one in the coin that is traded: the symbol begins with its name."""
    text = read_text(path, options, delimiter=",")
    volumes = _volumes(text.names)
    symbol = next((name for name in text.names if bare_name(name) == "symbol"), None)
    if volumes and symbol and not options.volume_columns and "volume" not in options.columns:
        pair = bare_name(text.table([symbol]).cell(0, symbol))
        volume = next((name for name in volumes if pair.startswith(_currency(name))), volumes[0])
        options = options.model_copy(update={"columns": {**options.columns, "volume": volume}})
    layout = match_columns(text.names, options, path)
    return raw_bars(text.table(layout.needed), layout, options, time_zone="UTC", decimal=".")


def _volumes(names: Sequence[str]) -> list[str]:
    return [name for name in names if bare_name(name).startswith("volume") and _currency(name)]


def _currency(name: str) -> str:
    return bare_name(name).removeprefix("volume")


FORMAT = Format("cryptodatadownload", recognises, read)
