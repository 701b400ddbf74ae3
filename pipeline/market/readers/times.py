"""Times as files write them, to UTC instants: ISO 8601, epoch numbers, or a given ``strptime`` form.

A time without a zone is read in the configured one, and refused where none is or where the local clock showed
it twice or never: which instant is meant is the user's to say.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.table import Table

__all__ = ["Instants", "read_instants"]

NAT = np.iinfo(np.int64).min

# Epoch numbers of 1980 to 2200 never overlap between units, nor with dates written as one number
# (20241212, 202412120501, 20241212050100), so a number's size says what it is.
_FIRST_SECOND, _LAST_SECOND = 315_532_800, 7_258_118_400
_EPOCH_UNITS = {"seconds": 10**9, "milliseconds": 10**6, "microseconds": 10**3, "nanoseconds": 1}
_DIGIT_FORMS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_AWARE = r"\d[T ]\d{2}.*([zZ]|[+-]\d{2}(:?\d{2})?)$"


@dataclass(frozen=True)
class Instants:
    """UTC nanoseconds since 1970 (the smallest int64 where a cell is empty), and how they were read."""

    nanoseconds: NDArray[np.int64]
    reading: str


@dataclass(frozen=True)
class _TimeColumns:
    """The column of times, or that of dates and that of times of day."""

    table: Table
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return " + ".join(self.names)

    def fault(self, row: int, what: str) -> DataError:
        written = " ".join(self.table.cell(row, name) for name in self.names)
        return DataError(f"{self.table.where(row, self.name)}: time {written!r} {what}")


def read_instants(table: Table, columns: tuple[str, ...], time_zone: str | None, time_format: str | None) -> Instants:
    """The times in one column, or in a column of dates and one of times of day.

    Raises
    ------
    DataError
        For a time that can't be read, has no zone where none is configured, or is ambiguous or skipped in the
        local zone.
    """
    times = _TimeColumns(table, columns)
    if len(columns) == 2:
        return _from_texts(times, _joined(table, *columns), time_zone, time_format)
    values = table.columns[columns[0]]
    kind = values.type
    if pa.types.is_timestamp(kind):
        return _from_datetimes(times, pd.DatetimeIndex(values.to_pandas()), kind.tz is not None, time_zone)
    if pa.types.is_date(kind):
        days = pd.DatetimeIndex(values.cast(pa.date32()).cast(pa.timestamp("s")).to_pandas())
        return _from_datetimes(times, days, False, time_zone)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _from_numbers(times, values, time_zone)
    if pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_coded_text(kind):
        return _from_texts(times, table.texts(columns[0]), time_zone, time_format)
    raise DataError(f"{table.path}, column {times.name!r} holds {kind}, not times; name that of times in columns")


def _is_coded_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) or pa.types.is_string_view(kind))


def _joined(table: Table, date: str, time: str) -> pa.ChunkedArray:
    dates, times = table.texts(date), table.texts(time)
    dates = pc.replace_substring_regex(dates, r"^(\d{4})(\d{2})(\d{2})$", r"\1-\2-\3")
    if pc.all(pc.match_substring_regex(times, r"^\d+$")).as_py():
        # Kept as a number, a time of day has lost its leading zeros: 50100 is 05:01:00.
        times = pc.utf8_lpad(times, 6 if pc.max(pc.utf8_length(times)).as_py() > 4 else 4, "0")
    times = pc.replace_substring_regex(times, r"^(\d{2})(\d{2})(\d{2})$", r"\1:\2:\3")
    times = pc.replace_substring_regex(times, r"^(\d{2})(\d{2})$", r"\1:\2")
    return pc.binary_join_element_wise(dates, times, " ")


def _from_texts(
    times: _TimeColumns, texts: pa.ChunkedArray, time_zone: str | None, time_format: str | None
) -> Instants:
    given = texts.drop_null()
    if len(given) == 0:
        return Instants(np.full(len(texts), NAT), "no times at all")
    first = given[0].as_py()
    if time_format is None and re.fullmatch(r"\d{8,}(\.\d+)?", first):
        try:
            return _from_numbers(times, texts.cast(pa.float64() if "." in first else pa.int64()), time_zone)
        except pa.ArrowInvalid as error:
            odd = pc.invert(pc.match_substring_regex(texts, r"^\d{1,18}$" if "." not in first else r"^\d+(\.\d+)?$"))
            row = _first_true(np.asarray(odd.fill_null(False).to_numpy(zero_copy_only=False)))
            raise _unreadable(times, row) from error
    if time_format is None:
        texts = pc.replace_substring_regex(texts, r"(?i) ?(UTC|GMT)$", "Z")
        aware = pc.match_substring_regex(texts, _AWARE).fill_null(False)
        form = "ISO8601"
    else:
        aware = pc.is_valid(texts) if "%z" in time_format else pa.chunked_array([pa.array(np.zeros(len(texts), bool))])
        form = time_format
    parsed = _parse(times.table, texts, form)
    present = np.asarray(pc.is_valid(texts).to_numpy(), dtype=bool)
    bad = present & np.asarray(parsed.isna())
    if bad.any():
        row = _first_true(bad)
        raise _unreadable(times, row)
    with_zone = np.asarray(aware.to_numpy(), dtype=bool)
    if with_zone.any() and not with_zone[present].all():
        row = _first_true(present & ~with_zone)
        raise times.fault(row, "has no zone while others of the column do; give every time its offset")
    return _from_datetimes(
        times, parsed if with_zone.any() else parsed.tz_localize(None), bool(with_zone.any()), time_zone
    )


def _parse(table: Table, texts: pa.ChunkedArray, form: str) -> pd.DatetimeIndex:
    try:
        return pd.DatetimeIndex(pd.to_datetime(texts.to_pandas(), format=form, utc=True, errors="coerce"))
    except ValueError as error:  # a strptime form with a directive there is not
        raise DataError(f"{table.path}: time_format {form!r} is not a strptime form: {error}") from error


def _unreadable(times: _TimeColumns, row: int) -> DataError:
    return times.fault(
        row,
        "can't be read; mend it, or set time_format to the form the file's times have, such as '%m/%d/%Y %H:%M', "
        "in sources.yaml",
    )


def _from_numbers(times: _TimeColumns, values: pa.ChunkedArray, time_zone: str | None) -> Instants:
    present = np.asarray(pc.is_valid(values).to_numpy(), dtype=bool)
    if pa.types.is_floating(values.type):
        numbers = np.asarray(values.fill_null(np.nan).to_numpy(), dtype=np.float64)
        present &= ~np.isnan(numbers)
        numbers = np.where(present, numbers, 0)
    elif values.type == pa.uint64():
        numbers = np.asarray(values.fill_null(0).to_numpy(), dtype=np.float64)
    else:
        numbers = np.asarray(values.fill_null(0).to_numpy(), dtype=np.int64)
    if present.any() and (form := _digit_form(numbers[present])) is not None:
        written = pa.chunked_array([pa.array(np.char.mod("%d", numbers), mask=~present)])
        return _from_texts(times, written, time_zone, form)
    instants = np.full(len(numbers), NAT)
    units = []
    for unit, nanoseconds in _EPOCH_UNITS.items():
        scale = 10**9 // nanoseconds
        mine = present & (numbers >= _FIRST_SECOND * scale) & (numbers < _LAST_SECOND * scale)
        if mine.any():
            units.append(unit)
            if numbers.dtype == np.int64:
                instants[mine] = numbers[mine] * nanoseconds
            else:  # the fraction apart and to the microsecond, or it drowns in the float's rounding
                whole = np.floor(numbers[mine])
                parts = max(nanoseconds // 1000, 1)
                fraction = np.rint((numbers[mine] - whole) * parts).astype(np.int64)
                instants[mine] = whole.astype(np.int64) * nanoseconds + fraction * (nanoseconds // parts)
    odd = present & (instants == NAT)
    if odd.any():
        row = _first_true(odd)
        raise _unreadable(times, row)
    return Instants(instants, f"times are epoch {' and '.join(units)} (UTC)" if units else "no times at all")


def _digit_form(numbers: NDArray[np.generic]) -> str | None:
    low, high = float(np.min(numbers)), float(np.max(numbers))
    for digits, form in _DIGIT_FORMS.items():
        year = 10 ** (digits - 4)
        if 1900 * year <= low and high < 2200 * year:
            return form
    return None


def _from_datetimes(times: _TimeColumns, parsed: pd.DatetimeIndex, aware: bool, time_zone: str | None) -> Instants:
    if not aware and time_zone is None and (valid := parsed.notna()).any():
        raise times.fault(
            _first_true(np.asarray(valid)),
            "has no zone; set time_zone (--time-zone) to the zone it was written in, such as America/Chicago",
        )
    parsed = _nanoseconds(times, parsed)
    if aware:
        return Instants(parsed.asi8, "times carry their zone")
    local = parsed.tz_localize(time_zone or "UTC", ambiguous="NaT", nonexistent="NaT")
    lost = np.asarray(local.isna() & parsed.notna())
    if lost.any():
        row = _first_true(lost)
        one = parsed[row : row + 1].tz_localize(time_zone, ambiguous=np.array([True]), nonexistent="NaT")
        what = "does not exist" if pd.isna(one[0]) else "occurs twice"
        raise times.fault(
            row,
            f"{what} in {time_zone}, where clocks change; write the times in UTC or with their offset, or set "
            "time_zone to the one they were really written in",
        )
    return Instants(local.asi8, f"times read as {time_zone}")


def _nanoseconds(times: _TimeColumns, parsed: pd.DatetimeIndex) -> pd.DatetimeIndex:
    try:
        return parsed.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime as error:
        year = np.asarray(parsed.year)
        row = _first_true((year < 1678) | (year > 2261))
        raise times.fault(row, "is outside 1678 to 2261; mend it or check its unit") from error


def _first_true(mask: NDArray[np.bool_]) -> int:
    return int(np.argmax(mask))
