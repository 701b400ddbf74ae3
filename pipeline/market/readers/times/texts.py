"""Times written as text, to dates and clock times: ISO 8601, days or months first, AM and PM, names of zones."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.times.columns import TimeColumns, first_true
from pipeline.market.readers.times.date_orders import year_first

__all__ = ["Clock", "read_times", "read_times_as"]

_AWARE = r"\d[T ]\d{1,2}:?\d{2}.*([zZ]|[+-]\d{2}(:?\d{2})?)$"
_ZONE_NAME = r"^(?P<time>.*\d.*) (?P<zone>[A-Z][A-Za-z]+(?:/[A-Za-z0-9_+-]+)+)$"
_HALF_DAY = r"(?i)\s*([ap])\.?m\.?$"
# The zones that RFC 5322 gives an offset; other letters mean different zones in different countries.
_LETTERS = {
    "EST": "-05:00", "EDT": "-04:00", "CST": "-06:00", "CDT": "-05:00",
    "MST": "-07:00", "MDT": "-06:00", "PST": "-08:00", "PDT": "-07:00",
}  # fmt: skip
_MONTH_NAMES = (
    "%d-%b-%Y", "%d %b %Y", "%d-%b-%y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%Y-%b-%d", "%d/%b/%Y", "%d.%b.%Y",
)  # fmt: skip
_DIGITS_ONLY = re.compile(r"(%[YmdyHMS])+")
_MIDNIGHT = r"(\d,?[T ] ?)24(:00(?::00(?:\.0+)?)?)($|[^\d:.])"  # the end of its day, by ISO 8601
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")


@dataclass(frozen=True)
class Clock:
    """Times of a column.

    Attributes
    ----------
    times
        Without a zone, or in UTC where ``aware``.
    aware
        Whether they carry their zone.
    zones
        Names of the zones they are in, where they are named: one for each time, or none.
    order
        How dates and zones that could be read in two ways were read, in words.
    offset
        As :class:`Instants` has it.
    """

    times: pd.DatetimeIndex
    aware: bool
    zones: NDArray[np.object_] | None = None
    order: str = ""
    offset: str = ""


def read_times(times: TimeColumns, texts: pa.ChunkedArray) -> Clock:
    """Read times in a form that has to be detected.

    Raises
    ------
    DataError
        For a time that can't be read, dates that can mean two days, or some with a zone and some without.
    """
    texts = pc.replace_substring_regex(texts, r"(?i) ?(UTC|GMT|Z)$", "Z")
    texts = pc.replace_substring_regex(texts, r"(?i) ?(?:UTC|GMT)([+-]\d)", r" \1")
    texts = pc.replace_substring_regex(texts, r" {2,}", " ")
    texts = pc.replace_substring_regex(texts, r"^(\d{8})-(\d{2}:\d{2}:\d{2})$", r"\1 \2Z")  # Interactive Brokers' UTC
    texts, zones = _without_zone_names(times, texts)
    texts, letters = _without_letters(texts)
    texts, next_day = _without_24(texts)
    afternoon = _half_days(texts)
    if afternoon is not None:
        texts = pc.replace_substring_regex(texts, _HALF_DAY, "")
    texts, order = year_first(times, texts)
    parsed = _parsed_months(texts) if _has_letters(texts) else None
    if parsed is None:
        parsed = pd.DatetimeIndex(pd.to_datetime(texts.to_pandas(), format="ISO8601", utc=True, errors="coerce"))
    present = np.asarray(pc.is_valid(texts).to_numpy(), dtype=bool)
    if afternoon is not None:
        parsed = _shifted_to_24_hours(times, parsed, afternoon, present)
    if (bad := present & np.asarray(parsed.isna())).any():
        raise times.unreadable(first_true(bad))
    parsed = _moved(times, parsed, next_day)
    aware = np.asarray(pc.match_substring_regex(texts, _AWARE).fill_null(False).to_numpy(), dtype=bool)
    said = [f"{each} read as {offset}" for each, offset in letters.items()]
    clock = _clock(times, parsed, aware, present, zones, ", ".join(filter(None, (*said, order))))
    return replace(clock, offset=next(iter(letters.values()))) if len(letters) == 1 else clock


def read_times_as(times: TimeColumns, texts: pa.ChunkedArray, form: str) -> Clock:
    """Read times by a ``strptime`` form."""
    if _DIGITS_ONLY.fullmatch(form):
        # A number loses the zero that its day, month or year begins with.
        width = sum(4 if each == "Y" else 2 for each in form[1::2])
        texts = pc.if_else(pc.equal(pc.utf8_length(texts), width - 1), pc.utf8_lpad(texts, width, "0"), texts)
    texts, next_day = _without_24(texts)
    try:
        parsed = pd.DatetimeIndex(pd.to_datetime(texts.to_pandas(), format=form, utc=True, errors="coerce"))
    except ValueError as error:  # a directive there is not
        raise DataError(f"{times.table.path}: time_format {form!r} is not a strptime form: {error}") from error
    present = np.asarray(pc.is_valid(texts).to_numpy(), dtype=bool)
    if (bad := present & np.asarray(parsed.isna())).any():
        raise times.fault(first_true(bad), f"does not have the form {form!r}; fix it or time_format")
    parsed = _moved(times, parsed, next_day)
    return _clock(times, parsed, present & ("%z" in form), present, None, "")


def _clock(
    times: TimeColumns,
    parsed: pd.DatetimeIndex,
    aware: NDArray[np.bool_],
    present: NDArray[np.bool_],
    zones: NDArray[np.object_] | None,
    order: str,
) -> Clock:
    zoned = aware if zones is None else aware | np.array([each is not None for each in zones])
    if zoned.any() and not zoned[present].all():
        raise times.fault(
            first_true(present & ~zoned), "has no zone while others of the column do; give every time its offset"
        )
    if aware.any() and zones is not None:
        raise times.fault(first_true(~aware & present), "names a zone where others give an offset; use one of them")
    return Clock(parsed if aware.any() else parsed.tz_localize(None), bool(aware.any()), zones, order)


def _without_24(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, NDArray[np.bool_]]:
    """The times with 00:00 for 24:00, and which of them had it."""
    found = pc.match_substring_regex(texts, _MIDNIGHT).fill_null(False)
    if pc.any(found).as_py():
        texts = pc.if_else(found, pc.replace_substring_regex(texts, _MIDNIGHT, r"\100\2\3"), texts)
    return texts, np.asarray(found.to_numpy(), dtype=bool)


def _moved(times: TimeColumns, parsed: pd.DatetimeIndex, next_day: NDArray[np.bool_]) -> pd.DatetimeIndex:
    """The times with those of 24:00 on the next day, or an error where the lines around them follow its own day's."""
    if not next_day.any():
        return parsed
    moved = parsed + pd.to_timedelta(next_day.astype(np.int64), unit="D")
    if _turns(moved) > _turns(parsed):
        what = "has 24:00, the end of its day, and stands where that day begins; write 00:00"
        raise times.fault(first_true(next_day), what)
    return moved


def _turns(parsed: pd.DatetimeIndex) -> int:
    """Count the steps against the direction of the others."""
    steps = np.diff(parsed.dropna().asi8)
    return int(min((steps < 0).sum(), (steps > 0).sum()))


def _without_letters(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, dict[str, str]]:
    """Offsets in place of letters such as EST, and how these were read."""
    found = {}
    for letters, offset in _LETTERS.items():
        if pc.any(pc.ends_with(texts, f" {letters}")).as_py():
            texts = pc.replace_substring_regex(texts, rf" {letters}$", offset)
            found[letters] = offset
    return texts, found


def _without_zone_names(
    times: TimeColumns, texts: pa.ChunkedArray
) -> tuple[pa.ChunkedArray, NDArray[np.object_] | None]:
    named = pc.match_substring_regex(texts, _ZONE_NAME).fill_null(False)
    if not pc.any(named).as_py():
        return texts, None
    zones = np.asarray(pc.struct_field(pc.extract_regex(texts, _ZONE_NAME), "zone").to_pandas(), dtype=object)
    zones[~np.asarray(named.to_numpy(), dtype=bool)] = None
    return pc.replace_substring_regex(texts, _ZONE_NAME, r"\1"), zones


def _half_days(texts: pa.ChunkedArray) -> NDArray[np.object_] | None:
    """``a`` or ``p`` of each time that says AM or PM; None where none does."""
    if not pc.any(pc.match_substring_regex(texts, r"(?i)\d\s*[ap]\.?m\.?$")).as_py():
        return None
    halves = pc.struct_field(pc.extract_regex(texts, r"(?i)(?P<half>[ap])\.?m\.?$"), "half")
    return np.asarray(pc.utf8_lower(halves).to_pandas(), dtype=object)


def _shifted_to_24_hours(
    times: TimeColumns, parsed: pd.DatetimeIndex, half: NDArray[np.object_], present: NDArray[np.bool_]
) -> pd.DatetimeIndex:
    hours = np.asarray(parsed.hour)
    unsaid = present & ~np.isin(half.astype(str), ("a", "p"))
    if unsaid.any():
        raise times.fault(first_true(unsaid), "has neither AM nor PM while others of the column do; fix it")
    if (odd := present & np.asarray(parsed.notna()) & ((hours < 1) | (hours > 12))).any():
        raise times.fault(first_true(odd), "has AM or PM and no hour of 1 to 12; fix it")
    later = np.where(half == "p", 12, 0) - np.where(hours == 12, 12, 0)
    return parsed + pd.to_timedelta(np.where(present, later, 0), unit="h")


def _has_letters(texts: pa.ChunkedArray) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts.drop_null().slice(0, 1), r"[A-Za-z]{3}")).as_py())


def _parsed_months(texts: pa.ChunkedArray) -> pd.DatetimeIndex | None:
    """Times whose months are names, by the form that fits the first of them."""
    plain = pc.replace_substring(texts, ",", "")
    first = plain.drop_null()[0].as_py()
    for date in _MONTH_NAMES:
        for clock in _CLOCKS:
            if pd.notna(pd.to_datetime(first, format=date + clock, errors="coerce")):
                return pd.DatetimeIndex(
                    pd.to_datetime(plain.to_pandas(), format=date + clock, utc=True, errors="coerce")
                )
    return None
