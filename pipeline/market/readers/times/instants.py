"""Times as files write them, to UTC instants.

A time without a zone is read in the configured one, and refused where none is or where the local clock showed
it twice or never: which instant is meant is the user's to say.
"""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.options import to_set
from pipeline.market.readers.table import Table, is_text
from pipeline.market.readers.times.columns import NAT, Instants, TimeColumns, first_true
from pipeline.market.readers.times.epochs import read_epochs
from pipeline.market.readers.times.texts import Clock, read_times, read_times_as
from pipeline.market.zones import is_zone

__all__ = ["Instants", "read_instants"]

_TIME_OF_DAY = r"^([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?( ?[AaPp][Mm])?$|^([01]\d|2[0-3])[0-5]\d$"
_NUMBER = re.compile(r"\d{5,}(\.\d+)?|\d\.\d+[eE]\+?\d+")


def read_instants(
    table: Table,
    columns: tuple[str, ...],
    time_zone: str | None,
    time_format: str | None,
    *,
    day_first: bool | None = None,
) -> Instants:
    """The times in one column, or in a column of dates and one of times of day.

    Parameters
    ----------
    table, columns
        The file, and the one or two columns in it.
    time_zone, time_format
        As :class:`pipeline.market.readers.options.TextOptions` has them; the form also reads the digits of numbers.
    day_first
        The format's habit for dates such as 01.03.2022, where all days are below 13.

    Raises
    ------
    DataError
        For a time that can't be read or can mean two, has no zone where none is configured, or is ambiguous or
        skipped in the local zone.
    """
    times = TimeColumns(table, columns, day_first)
    if len(columns) == 2:
        return _from_texts(times, time_zone, time_format)
    values = table.columns[columns[0]]
    kind = values.type
    if pa.types.is_timestamp(kind):
        # Arrow keeps instants; the zone is only how to show them, and may be one that this machine doesn't know.
        known = values if kind.tz is None else values.cast(pa.timestamp(kind.unit, "UTC"))
        return _instants(times, Clock(pd.DatetimeIndex(known.to_pandas()), kind.tz is not None), time_zone)
    if pa.types.is_date(kind):
        days = pd.DatetimeIndex(values.cast(pa.date32()).cast(pa.timestamp("s")).to_pandas())
        return _instants(times, Clock(days, False), time_zone)
    if pa.types.is_floating(kind) and kind.bit_width < 64:
        raise DataError(
            f"{table.path}, column {times.name!r} holds times as {kind.bit_width}-bit floats, which round them to two "
            "minutes or more; write them as 64-bit integers or as dates"
        )
    if time_format is not None and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return _instants(times, read_times_as(times, _digits(times, values), time_format), time_zone)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _from_numbers(times, values, time_zone)
    if pa.types.is_null(kind) or is_text(kind):
        return _from_texts(times, time_zone, time_format)
    raise DataError(
        f"{table.path}, column {times.name!r} holds {kind}, not times; {to_set('columns', 'timestamp=NAME')}"
    )


def _from_texts(times: TimeColumns, time_zone: str | None, time_format: str | None) -> Instants:
    texts = times.texts(as_written=time_format is not None)
    given = texts.drop_null()
    if len(given) == 0:
        return Instants(np.full(len(texts), NAT), "no times at all")
    if time_format is not None:
        return _instants(times, read_times_as(times, texts, time_format), time_zone)
    if len(times.names) == 1 and pc.all(pc.match_substring_regex(given, _TIME_OF_DAY)).as_py():
        row = pc.index(texts, given[0]).as_py()
        raise times.fault(row, "is a time of day without its date; " + to_set("columns", "'date=NAME'"))
    first = given[0].as_py()
    if _NUMBER.fullmatch(first) is None:
        return _instants(times, read_times(times, texts), time_zone)
    short = pc.match_substring_regex(texts, r"^\d(\.\d{1,8})?[eE]").fill_null(False)
    if pc.any(short).as_py():
        raise times.fault(
            pc.index(short, True).as_py(),
            "has lost its last digits to a spreadsheet; export the column as text or as a whole number",
        )
    try:
        return _from_numbers(times, texts.cast(pa.float64() if re.search("[.eE]", first) else pa.int64()), time_zone)
    except pa.ArrowInvalid as error:
        odd = pc.invert(pc.match_substring_regex(texts, r"^\d{1,18}$" if "." not in first else r"^\d+(\.\d+)?$"))
        raise times.unreadable(first_true(np.asarray(odd.fill_null(False).to_numpy(zero_copy_only=False)))) from error


def _digits(times: TimeColumns, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers as text, for a form to read."""
    if pa.types.is_floating(values.type):  # a column of whole numbers with an empty cell
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        try:
            values = values.cast(pa.int64())
        except pa.ArrowInvalid as error:
            odd = pc.not_equal(pc.floor(values), values).fill_null(False)
            row = max(int(pc.index(odd, True).as_py()), 0)
            raise times.fault(row, "is not a whole number for time_format to read; leave time_format out") from error
    return values.cast(pa.string())


def _from_numbers(times: TimeColumns, values: pa.ChunkedArray, time_zone: str | None) -> Instants:
    present = np.asarray(pc.is_valid(values).to_numpy(), dtype=bool)
    if pa.types.is_floating(values.type) or values.type == pa.uint64():
        numbers = np.asarray(values.cast(pa.float64()).fill_null(np.nan).to_numpy(), dtype=np.float64)
        present &= ~np.isnan(numbers)
        numbers = np.where(present, numbers, 0)
        if (numbers == np.floor(numbers)).all() and (np.abs(numbers) < 2.0**53).all():
            numbers = numbers.astype(np.int64)
    else:
        numbers = np.asarray(values.cast(pa.int64()).fill_null(0).to_numpy(), dtype=np.int64)
    found = read_epochs(times, numbers, present)
    if found.in_utc:
        words = found.name if found.name.startswith("no times") else f"times are {found.name} (UTC)"
        return Instants(found.nanoseconds, words)
    local = pd.DatetimeIndex(found.nanoseconds.view("M8[ns]"))
    return _instants(times, Clock(local, False), time_zone, of=found.name)


def _instants(times: TimeColumns, clock: Clock, time_zone: str | None, of: str = "") -> Instants:
    order = f", {clock.order}" if clock.order else ""
    source = f" from {of}" if of else ""
    if not clock.aware and clock.zones is None and time_zone is None and (valid := clock.times.notna()).any():
        row = first_true(np.asarray(valid))
        meant = f"({of}: {clock.times[row]}) " if of else ""
        remedy = to_set("time_zone", "ZONE")
        raise times.fault(row, f"{meant}has no zone; {remedy} to the one it was written in, such as America/Chicago")
    parsed = _nanoseconds(times, clock.times)
    if clock.aware:
        return Instants(parsed.asi8, f"times carry their zone{order}", offset=clock.offset)
    if clock.zones is None:
        read_in = time_zone or "UTC"
        return Instants(_localized(times, parsed, read_in), f"times read as {read_in}{source}{order}", read_in)
    instants = np.full(len(parsed), NAT)
    names = sorted({str(each) for each in clock.zones if each is not None})
    for name in names:
        mine = clock.zones == name
        if not is_zone(name):
            what = f"names the zone {name!r}, which is not known; give every time its offset"
            raise times.fault(first_true(mine), what)
        instants[mine] = _localized(times, parsed.where(mine), name)[mine]
    return Instants(instants, f"times carry their zone, {', '.join(names)}{order}")


def _localized(times: TimeColumns, parsed: pd.DatetimeIndex, time_zone: str) -> NDArray[np.int64]:
    local = parsed.tz_localize(time_zone, ambiguous="NaT", nonexistent="NaT")
    lost = np.asarray(local.isna() & parsed.notna())
    if lost.any():
        row = first_true(lost)
        one = parsed[row : row + 1].tz_localize(time_zone, ambiguous=np.array([True]), nonexistent="NaT")
        what = "does not exist" if pd.isna(one[0]) else "occurs twice"
        raise times.fault(
            row,
            f"{what} in {time_zone}, where clocks change; write the times in UTC or with their offset, or set "
            "time_zone to the one they were really written in",
        )
    return local.asi8


def _nanoseconds(times: TimeColumns, parsed: pd.DatetimeIndex) -> pd.DatetimeIndex:
    try:
        return parsed.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime as error:
        year = np.asarray(parsed.year)
        row = first_true((year < 1678) | (year > 2261))
        raise times.fault(row, "is outside 1678 to 2261; fix it or check its unit") from error
