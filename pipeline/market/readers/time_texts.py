"""Times written as text, to dates and clock times: ISO 8601, days or months first, AM and PM, names of zones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.options import to_set
from pipeline.market.readers.time_columns import TimeColumns, first_true

__all__ = ["Clock", "read_times", "read_times_as"]

_AWARE = r"\d[T ]\d{1,2}:?\d{2}.*([zZ]|[+-]\d{2}(:?\d{2})?)$"
_ZONE_NAME = r"^(?P<time>.*\d.*) (?P<zone>[A-Z][A-Za-z]+(?:/[A-Za-z0-9_+-]+)+)$"
_DAY_OR_MONTH = re.compile(r"(\d{1,2})([-/.])(\d{1,2})[-/.](\d{4}|\d{2})(?=$|[T ,])")
_HALF_DAY = r"(?i)\s*([ap])\.?m\.?$"
# The zones that RFC 5322 gives an offset; other letters mean different zones in different countries.
_LETTERS = {
    "EST": "-05:00", "EDT": "-04:00", "CST": "-06:00", "CDT": "-05:00",
    "MST": "-07:00", "MDT": "-06:00", "PST": "-08:00", "PDT": "-07:00",
}  # fmt: skip
_MONTH_NAMES = (
    "%d-%b-%Y", "%d %b %Y", "%d-%b-%y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%Y-%b-%d", "%d/%b/%Y", "%d.%b.%Y",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")
_LONG_GAP = pd.Timedelta(days=8)


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
        How dates that could be read in two ways were read, in words.
    """

    times: pd.DatetimeIndex
    aware: bool
    zones: NDArray[np.object_] | None = None
    order: str = ""


def read_times(times: TimeColumns, texts: pa.ChunkedArray) -> Clock:
    """Read times whose form is to be told from themselves.

    Raises
    ------
    DataError
        For a time that can't be read, dates that can mean two days, or some with a zone and some without.
    """
    texts = pc.replace_substring_regex(texts, r"(?i) ?(UTC|GMT|Z)$", "Z")
    texts = pc.replace_substring_regex(texts, r"(?i) ?(?:UTC|GMT)([+-]\d)", r" \1")
    texts, zones = _without_zone_names(times, texts)
    for letters, offset in _LETTERS.items():
        texts = pc.replace_substring_regex(texts, rf" {letters}$", offset)
    afternoon = _half_days(texts)
    if afternoon is not None:
        texts = pc.replace_substring_regex(texts, _HALF_DAY, "")
    texts, order = _year_first(times, texts)
    parsed = _parsed_months(texts) if _has_letters(texts) else None
    if parsed is None:
        parsed = pd.DatetimeIndex(pd.to_datetime(texts.to_pandas(), format="ISO8601", utc=True, errors="coerce"))
    present = np.asarray(pc.is_valid(texts).to_numpy(), dtype=bool)
    if afternoon is not None:
        parsed = _shifted_to_24_hours(times, parsed, afternoon, present)
    if (bad := present & np.asarray(parsed.isna())).any():
        raise times.unreadable(first_true(bad))
    aware = np.asarray(pc.match_substring_regex(texts, _AWARE).fill_null(False).to_numpy(), dtype=bool)
    return _clock(times, parsed, aware, present, zones, order)


def read_times_as(times: TimeColumns, texts: pa.ChunkedArray, form: str) -> Clock:
    """Read times by a ``strptime`` form."""
    try:
        parsed = pd.DatetimeIndex(pd.to_datetime(texts.to_pandas(), format=form, utc=True, errors="coerce"))
    except ValueError as error:  # a directive there is not
        raise DataError(f"{times.table.path}: time_format {form!r} is not a strptime form: {error}") from error
    present = np.asarray(pc.is_valid(texts).to_numpy(), dtype=bool)
    if (bad := present & np.asarray(parsed.isna())).any():
        raise times.fault(first_true(bad), f"does not have the form {form!r}; mend it or time_format")
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
        raise times.fault(first_true(unsaid), "has neither AM nor PM while others of the column do; mend it")
    if (odd := present & np.asarray(parsed.notna()) & ((hours < 1) | (hours > 12))).any():
        raise times.fault(first_true(odd), "has AM or PM and no hour of 1 to 12; mend it")
    later = np.where(half == "p", 12, 0) - np.where(hours == 12, 12, 0)
    return parsed + pd.to_timedelta(np.where(present, later, 0), unit="h")


def _year_first(times: TimeColumns, texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str]:
    """The times with the year first, and how dates that begin with a day or a month were read."""
    texts = pc.replace_substring_regex(texts, r"^(\d{4})\.(\d{1,2})\.(\d{1,2})", r"\1-\2-\3")
    first = texts.drop_null().slice(0, 1)
    if len(first) == 0 or _DAY_OR_MONTH.match(first[0].as_py()) is None:
        return texts, ""
    day_first = _day_comes_first(times, texts)
    rest = r"(?:,? +|,|T|$)(.*)$"
    year = r"\3-\2-\1 \4" if day_first else r"\3-\1-\2 \4"
    date = r"^(\d{1,2})[-/.](\d{1,2})[-/.]"
    texts = pc.replace_substring_regex(texts, date + r"([7-9]\d)" + rest, year.replace(r"\3", r"19\3"))
    texts = pc.replace_substring_regex(texts, date + r"(\d{2})" + rest, year.replace(r"\3", r"20\3"))
    texts = pc.replace_substring_regex(texts, date + r"(\d{4})" + rest, year)
    return pc.utf8_rtrim_whitespace(
        texts
    ), "dates read as day, month, year" if day_first else "dates read as month, day, year"


def _day_comes_first(times: TimeColumns, texts: pa.ChunkedArray) -> bool:
    """Whether dates such as 03/02/2022 begin with the day: by one above 12, or by days that follow one another."""
    dates = pc.replace_substring_regex(texts, r"[T ,].*$", "").drop_null()
    matches = [found for each in dates.unique().to_pylist() if (found := _DAY_OR_MONTH.match(each))]
    firsts, seconds = ([int(each.group(place)) for each in matches] for place in (1, 3))
    if max(firsts) > 12 and max(seconds) <= 12:
        return True
    if max(seconds) > 12 and max(firsts) <= 12:
        return False
    if max(firsts) > 12:
        odd = matches[int(np.argmax(np.array(seconds) > 12))].group()
        row = pc.index(pc.starts_with(texts, odd), True).as_py()
        raise times.fault(
            row, "has its month second, while other dates of the file have their day there; write all in one order"
        )
    if times.day_first is not None:
        return times.day_first
    gaps = [_long_gaps(matches, order) for order in ((2, 1), (1, 2))]  # (day first, month first)
    clock = pc.any(pc.match_substring(texts, ":")).as_py()
    if clock and min(gaps) <= 0.1 and max(gaps) >= 0.5:
        return gaps[0] < gaps[1]
    raise _two_days(times, texts, matches[0])


def _long_gaps(dates: Sequence[re.Match[str]], order: tuple[int, int]) -> float:
    """Share of steps between the file's dates that are longer than any holiday, if read so; of one date, 1/4."""
    groups = {1: 1, 2: 3}
    month, day = (groups[place] for place in order)
    written = pd.Series([f"{each.group(4)[-2:]}-{each.group(month)}-{each.group(day)}" for each in dates])
    parsed = pd.to_datetime(written, format="%y-%m-%d", errors="coerce")
    steps = parsed.diff().abs().dropna()
    return 0.25 if steps.empty else float((steps > _LONG_GAP).mean())


def _two_days(times: TimeColumns, texts: pa.ChunkedArray, date: re.Match[str]) -> DataError:
    one, mark, two, year = date.groups()
    full = year if len(year) == 4 else f"20{year}"
    days = [pd.Timestamp(int(full), int(month), int(day)) for day, month in ((one, two), (two, one))]
    forms = [
        f"'{form.replace('/', mark)}{_clock_form(texts)}'".replace("%Y", "%Y" if len(year) == 4 else "%y")
        for form in ("%d/%m/%Y", "%m/%d/%Y")
    ]
    first, second = (f"{each.day} {each.month_name()} {each.year}" for each in days)
    row = int(pc.index(pc.is_valid(texts), True).as_py())
    return times.fault(
        row,
        f"can be {first} or {second}; {to_set('time_format', forms[0])} for the first, or {forms[1]} for the second",
    )


def _clock_form(texts: pa.ChunkedArray) -> str:
    """The ``strptime`` form of the clock time behind a date."""
    written = str(texts.drop_null()[0].as_py())
    found = re.search(r"([T ,]+)\d{1,2}:\d{2}(:\d{2})?(\.\d+)?", written)
    if found is None:
        return ""
    before, seconds, fraction = found.groups()
    return before + "%H:%M" + (":%S" if seconds else "") + (".%f" if fraction else "")


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
