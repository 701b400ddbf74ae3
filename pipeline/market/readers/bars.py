"""Raw bars of one file: times in UTC and at the bars' open, numbers as float64."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.columns import BARS, bare_name
from pipeline.market.readers.contracts import ids_are_contracts
from pipeline.market.readers.numbers import NumberStyle
from pipeline.market.readers.options import ReadOptions, to_set
from pipeline.market.readers.rows import RowReader
from pipeline.market.readers.series import refuse_several_series
from pipeline.market.readers.source import Source
from pipeline.market.readers.symbols import OneSymbol
from pipeline.market.readers.table import Table, said_left_out
from pipeline.market.readers.times import NAT
from pipeline.shown import shown

__all__ = ["BarReader"]

_CHECKED = 200  # rows that show in which order the prices stand


class BarReader(RowReader):
    """Reads the bars of one file.

    Parameters
    ----------
    source, options, symbols
        As in :class:`RowReader`.
    whole
        Whether all rows come in one table. A part of them alone doesn't show whether the numbers of instruments change
        as contracts do, so those are then taken for contracts.

    Attributes
    ----------
    reading
        In words, how the last table's times and columns were read.
    zone, offset
        Of its times, as :class:`pipeline.market.readers.RawBars` has them.
    contract
        The contract all its rows are of, where the file's name gives it.
    """

    options: ReadOptions

    def __init__(self, source: Source, options: ReadOptions, symbols: OneSymbol, *, whole: bool = True) -> None:
        super().__init__(source, options, BARS, symbols)
        self.reading, self.offset = "", ""
        self.zone: str | None = None
        self.contract: str | None = None
        self._contract_known = "contract" in options.columns or (not whole and "contract" in self.layout.columns)
        self.label = options.label or source.habits.label

    def bars(self, table: Table) -> pd.DataFrame:
        """The rows of a table, as :class:`pipeline.market.readers.RawBars` describes its frame."""
        instants = self.instants(table)
        self.zone, self.offset = instants.zone, instants.offset
        length = self._length(instants.nanoseconds)
        opens = instants.nanoseconds
        if self.label == "close" and length is not None:
            opens = np.where(opens == NAT, NAT, opens - length.value)
        layout = self.layout
        ids = layout.columns.get("contract", "")
        doubtful = bare_name(ids) == "instrumentid" and not self._contract_known
        if doubtful and not ids_are_contracts(table.texts(ids), opens):
            columns = {ours: theirs for ours, theirs in layout.columns.items() if ours != "contract"}
            layout = replace(layout, columns=columns)
        numeric = {ours: theirs for ours, theirs in layout.columns.items() if ours != "contract"}
        parts = {f"volume {place}": each for place, each in enumerate(layout.volume_parts, start=1)}
        numbers = self.numbers(table, {**numeric, **parts})
        if parts:
            numbers["volume"] = np.sum([numbers.pop(part) for part in parts], axis=0)
        frame = pd.DataFrame({"timestamp": pd.DatetimeIndex(opens.view("M8[ns]"), tz="UTC")})
        for ours in BARS.synonyms:
            if ours in numbers:
                frame[ours] = numbers[ours]
            elif ours == "contract" and ours in layout.columns:
                contracts = table.texts(ids)
                if contracts.null_count < len(contracts):  # a column of nothing tells nothing
                    frame[ours] = pd.Series(contracts.to_pandas(), dtype="str")
        if self.source.habits.order_assumed:
            _refuse_other_order(table, frame, self.source.names)
        if not self._contract_known:
            refuse_several_series(table, frame, ids or None)
        self.contract = self.source.habits.contract if "contract" not in frame else None
        if self.contract is not None:
            frame["contract"] = pd.Series(self.contract, index=frame.index, dtype="str")
        frame["source_file"] = pd.Series(shown(str(table.path)), index=frame.index, dtype="str")
        frame["source_line"] = table.lines
        of_symbol = f" of {self.symbols.wanted}" if self.symbols.wanted is not None else ""
        parts_of_reading = [
            f"{_spoken(length)}bars{of_symbol}",
            instants.reading,
            "labelled by their open" if self.label == "open" else "labelled by their close and shifted to their open",
            layout.renamed,
            *_unusual(self.styles or {}),
            *(said_left_out(what, count) for what, count in table.notes.items()),
        ]
        self.reading = shown(", ".join(filter(None, parts_of_reading)))
        return frame

    def _length(self, instants: NDArray[np.int64]) -> pd.Timedelta | None:
        """Length of a bar: as set, or the most common step between times; None where they keep to none."""
        length = self.options.bar_length
        if length is None:
            return _bar_length(instants, self.source if self.label == "close" else None)
        if not _on_grid(instants, length.value):
            raise DataError(
                f"{self.source.path}: bar is {self.options.bar}, but the file's times do not fit it; "
                + to_set("bar", "5min")
            )
        return length


def _refuse_other_order(table: Table, bars: pd.DataFrame, names: Sequence[str]) -> None:
    first = bars.head(_CHECKED)
    tops, bottoms = first[["open", "close"]].max(axis=1), first[["open", "close"]].min(axis=1)
    fit = (first["high"] >= tops) & (first["low"] <= bottoms)
    if fit.mean() < 0.5:
        raise DataError(
            f"{table.path}: in {len(first) - int(fit.sum())} of the first {len(first)} lines the fields are not open, "
            f"high, low and close in this order; {to_set('names', ','.join(names))} in the order the file has"
        )


def _bar_length(instants: NDArray[np.int64], certain: Source | None) -> pd.Timedelta | None:
    """The most common step between times, the smallest of equally common ones; None where the times keep to none.

    An error instead, where it has to be ``certain`` for a file.
    """
    steps, counts = np.unique(np.diff(np.unique(instants[instants != NAT])), return_counts=True)
    if len(steps):
        step = int(steps[np.argmax(counts)])
        if _on_grid(instants, step):
            return pd.Timedelta(step, unit="ns")
    if certain is not None:
        raise DataError(
            f"{certain.path}: bars are labelled by their close, and the file's times do not show how long a bar is; "
            + to_set("bar", "LENGTH")
            + ", such as 5min"
        )
    return None


def _on_grid(instants: NDArray[np.int64], step: int) -> bool:
    # A few odd steps are early closes and daylight saving.
    steps = np.diff(np.unique(instants[instants != NAT]))
    return len(steps) == 0 or bool(np.mean(steps % step == 0) >= 0.9)


def _unusual(styles: Mapping[str, NumberStyle]) -> list[str]:
    alike: dict[NumberStyle, list[str]] = {}
    for ours, style in styles.items():
        alike.setdefault(style, []).append(ours)
    return [style.describe(", ".join(names)) for style, names in alike.items()]


def _spoken(length: pd.Timedelta | None) -> str:
    if length is None:
        return ""
    seconds = length.total_seconds()
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds % size == 0:
            return f"{seconds / size:g}-{unit} "
    return f"{seconds:g}-second "
