"""The column of times, or those of dates and of times of day, and what is read of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.options import to_set
from pipeline.market.readers.table import Table

__all__ = ["DAYS_TO_1970", "LONG_GAP", "NAT", "Instants", "TimeColumns", "first_true", "latest", "long_gaps"]

DAYS_TO_1970 = 25_569  # of a spreadsheet, which counts them from 1899-12-30
NAT = int(np.iinfo(np.int64).min)
LONG_GAP = pd.Timedelta(days=8)  # longer than any holiday
_PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")


@dataclass(frozen=True)
class Instants:
    """Times read.

    Attributes
    ----------
    nanoseconds
        Since 1970 in UTC; the smallest int64 where a cell is empty.
    reading
        How they were read, in words.
    zone
        The zone that times without one were read in; None where they carry theirs.
    offset
        Of letters such as ``EST``, where all have the same: ``-05:00``.
    """

    nanoseconds: NDArray[np.int64]
    reading: str
    zone: str | None = None
    offset: str = ""


@dataclass(frozen=True)
class TimeColumns:
    """The column of times, or that of dates and that of times of day.

    Attributes
    ----------
    table, names
        The file, and the columns' names in it.
    day_first
        The format's habit for dates such as 01.03.2022; None where it has none.
    """

    table: Table
    names: tuple[str, ...]
    day_first: bool | None = None

    @property
    def name(self) -> str:
        """Name for messages."""
        return " + ".join(self.names)

    def written(self, row: int) -> str:
        """The time of a row as it stands in the file."""
        return " ".join(self.table.cell(row, name) for name in self.names)

    def fault(self, row: int, what: str) -> DataError:
        """Say what is wrong with the time of a row."""
        return DataError(f"{self.table.where(row, self.name)}: time {self.written(row)[:60]!r} {what}")

    def unreadable(self, row: int) -> DataError:
        """Say that the time of a row can't be read, and what to do."""
        return self.fault(
            row,
            "can't be read; fix it, or, where all times of the file have this form, "
            + to_set("time_format", "FORM")
            + ", such as '%m/%d/%Y %H:%M'",
        )

    def ambiguous(self, row: int, readings: Sequence[tuple[str, str | None]]) -> DataError:
        """Ask which of several times a row's is, each given in words with the form that reads it so, if one does."""
        remedies: list[str] = []
        for place, (_, form) in zip(_PLACES, readings, strict=False):
            if form is not None:
                one = repr(form) if remedies else to_set("time_format", repr(form))
                remedies.append(f"{one} for the {place}")
        if (written_out := next((place for place, (_, form) in enumerate(readings) if form is None), None)) is not None:
            remedies.append(f"write the times out for the {_PLACES[written_out]}")
        return self.fault(row, f"can be {' or '.join(words for words, _ in readings)}; {', or '.join(remedies)}")

    def texts(self, *, as_written: bool) -> pa.ChunkedArray:
        """The times as text: of two columns, date, a space and time; compact ones spelled out unless ``as_written``."""
        if len(self.names) == 1:
            return self.table.texts(self.names[0])
        dates, times = (self.table.texts(name) for name in self.names)
        if not as_written:  # whole numbers that once were floats
            dates, times = (pc.replace_substring_regex(each, r"^(\d+)\.0+$", r"\1") for each in (dates, times))
        if pc.all(pc.match_substring_regex(times, r"^\d+$")).as_py():
            # Kept as a number, a time of day has lost its leading zeros: 50100 is 05:01:00.
            times = pc.utf8_lpad(times, 6 if pc.max(pc.utf8_length(times)).as_py() > 4 else 4, "0")
        if not as_written:
            dates, times = _of_a_spreadsheet(dates, times)
            # EasyLanguage (TradeStation, MultiCharts) counts years from 1900: 1190304 is 4 March 2019.
            dates = pc.replace_substring_regex(dates, r"^1(\d{2})(0[1-9]|1[0-2])([0-3]\d)$", r"20\1-\2-\3")
            dates = pc.replace_substring_regex(dates, r"^(\d{4})(\d{2})(\d{2})$", r"\1-\2-\3")
            # A spreadsheet gives a date the time 00:00:00, and a time of day the date of its own beginning.
            dates = pc.replace_substring_regex(dates, r"[T ]00:00(:00)?(\.0+)?$", "")
            times = pc.replace_substring_regex(times, r"^(1899|1900)-\d{2}-\d{2}[T ]", "")
            times = pc.replace_substring_regex(times, r"^(\d{2})(\d{2})(\d{2})$", r"\1:\2:\3")
            times = pc.replace_substring_regex(times, r"^(\d{2})(\d{2})$", r"\1:\2")
        return pc.binary_join_element_wise(dates, times, " ")


def _of_a_spreadsheet(dates: pa.ChunkedArray, times: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Days since 1900 and parts of a day as dates and times of day, where all are such numbers."""
    parts = pc.all(pc.match_substring_regex(times, r"^(0?\.\d+([eE]-\d+)?|0|0\.0+)$")).as_py()
    if parts and pc.max(pc.utf8_length(times)).as_py() > 3:  # a decimal or more: 0 alone is the first hour
        seconds = pc.round(pc.multiply(times.cast(pa.float64()), 86_400.0)).cast(pa.int64())
        times = pc.strftime(seconds.cast(pa.timestamp("s")), format="%H:%M:%S")
    clocks = pc.all(pc.match_substring(times, ":")).as_py()
    if clocks and pc.all(pc.match_substring_regex(dates, r"^[2-6]\d{4}(\.0+)?$")).as_py():
        days = pc.add(dates.cast(pa.float64()).cast(pa.int64()), -DAYS_TO_1970)
        dates = pc.strftime(pc.multiply(days, 86_400).cast(pa.timestamp("s")), format="%Y-%m-%d")
    return dates, times


def latest() -> pd.Timestamp:
    """The latest time that a bar can have, without a zone: a clock may be behind."""
    return pd.Timestamp.now("UTC").tz_localize(None) + pd.Timedelta(days=31)


def long_gaps(days: pd.Series) -> float:
    """Share of the steps between the file's days that are longer than any holiday; of one day, 1/4."""
    steps = days.diff().abs().dropna()
    return 0.25 if steps.empty else float((steps > LONG_GAP).mean())


def first_true(mask: NDArray[np.bool_]) -> int:
    """The first row where a mask is true."""
    return int(np.argmax(mask))
