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
_DIGITS_ONLY = re.compile(r"(%[YmdyHMS])+")
_MIDNIGHT = r"(\d,?[T ] ?)24(:00(?::00(?:\.0+)?)?)($|[^\d:.])"  # the end of its day, by ISO 8601
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")
_LONG_GAP = pd.Timedelta(days=8)
_AHEAD = pd.Timedelta(days=31)  # a clock may be behind


@dataclass(frozen=True)
class _Order:
    """An order of day, month and year: its name, the places of day, month and year in it, and its directives."""

    name: str
    groups: tuple[int, int, int]
    directives: str

    def form(self, date: re.Match[str], times: TimeColumns, texts: pa.ChunkedArray) -> str:
        """The ``strptime`` form of times with such a date."""
        year = "%Y" if max(len(date.group(1)), len(date.group(4))) == 4 else "%y"
        return self.directives.replace("/", date.group(2)).replace("%y", year) + _clock_form(times, texts)


_DAY_FIRST = _Order("day, month, year", (1, 2, 3), "%d/%m/%y")
_MONTH_FIRST = _Order("month, day, year", (2, 1, 3), "%m/%d/%y")
_YEAR_FIRST = _Order("year, month, day", (3, 2, 1), "%y/%m/%d")


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
    texts = pc.replace_substring_regex(texts, r" {2,}", " ")
    texts = pc.replace_substring_regex(texts, r"^(\d{8})-(\d{2}:\d{2}:\d{2})$", r"\1 \2Z")  # Interactive Brokers' UTC
    texts, zones = _without_zone_names(times, texts)
    texts, letters = _without_letters(texts)
    texts, next_day = _without_24(texts)
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
    parsed = _moved(times, parsed, next_day)
    aware = np.asarray(pc.match_substring_regex(texts, _AWARE).fill_null(False).to_numpy(), dtype=bool)
    return _clock(times, parsed, aware, present, zones, ", ".join(filter(None, (letters, order))))


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
        raise times.fault(first_true(bad), f"does not have the form {form!r}; mend it or time_format")
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
    """How many steps go against the direction of the others."""
    steps = np.diff(parsed.dropna().asi8)
    return int(min((steps < 0).sum(), (steps > 0).sum()))


def _without_letters(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str]:
    """Offsets in place of letters such as EST, and how these were read, in words."""
    found = []
    for letters, offset in _LETTERS.items():
        if pc.any(pc.ends_with(texts, f" {letters}")).as_py():
            texts = pc.replace_substring_regex(texts, rf" {letters}$", offset)
            found.append(f"{letters} read as {offset}")
    return texts, ", ".join(found)


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
    """The times with the year first, and how dates of two-digit numbers were read."""
    texts = pc.replace_substring_regex(texts, r"^(\d{4})\.(\d{1,2})\.(\d{1,2})", r"\1-\2-\3")
    first = texts.drop_null().slice(0, 1)
    if len(first) == 0 or _DAY_OR_MONTH.match(first[0].as_py()) is None:
        return texts, ""
    order = _order(times, texts)
    day, month, year = (rf"\{group}" for group in order.groups)
    new = rf"{year}-{month}-{day} \4"
    rest = r"(?:,? +|,|T|$)(.*)$"
    if order is _YEAR_FIRST:
        mark = r"[-/.](\d{1,2})[-/.](\d{1,2})"
        texts = pc.replace_substring_regex(texts, r"^([7-9]\d)" + mark + rest, "19" + new)
        texts = pc.replace_substring_regex(texts, r"^(\d{2})" + mark + rest, "20" + new)
    else:
        date = r"^(\d{1,2})[-/.](\d{1,2})[-/.]"
        texts = pc.replace_substring_regex(texts, date + r"([7-9]\d)" + rest, "19" + new)
        texts = pc.replace_substring_regex(texts, date + r"(\d{2})" + rest, "20" + new)
        texts = pc.replace_substring_regex(texts, date + r"(\d{4})" + rest, new)
    return pc.utf8_rtrim_whitespace(texts), f"dates read as {order.name}"


def _order(times: TimeColumns, texts: pa.ChunkedArray) -> _Order:
    """The order of dates such as 03/02/2022: told by a number above 12, or by days that follow one another."""
    dates = pc.replace_substring_regex(texts, r"[T ,].*$", "").drop_null()
    matches = [found for each in dates.unique().to_pylist() if (found := _DAY_OR_MONTH.match(each))]
    if _year_comes_first(times, texts, matches):
        return _YEAR_FIRST
    firsts, seconds = ([int(each.group(place)) for each in matches] for place in (1, 3))
    clock = pc.any(pc.match_substring(texts, ":")).as_py()
    gaps = {order: _long_gaps(_read(matches, order)) for order in (_DAY_FIRST, _MONTH_FIRST)}
    if (max(firsts) > 12) != (max(seconds) > 12):
        decided, other = (_DAY_FIRST, _MONTH_FIRST) if max(firsts) > 12 else (_MONTH_FIRST, _DAY_FIRST)
        if clock and gaps[decided] >= 0.5 and gaps[other] <= 0.1:
            # One mistyped day must not turn all others around.
            odd = matches[int(np.argmax(firsts if decided is _DAY_FIRST else seconds))].group()
            what = "has another order of day and month than the dates around it; mend it"
            raise times.fault(_row_of(texts, odd), what)
        _refuse_both_orders(times, texts, matches, decided, other)
        return decided
    if max(firsts) > 12:
        odd = matches[int(np.argmax(np.array(seconds) > 12))].group()
        raise times.fault(
            _row_of(texts, odd),
            "has its month second, while other dates of the file have their day there; write all in one order",
        )
    if times.day_first is not None:
        return _DAY_FIRST if times.day_first else _MONTH_FIRST
    if clock and min(gaps.values()) <= 0.1 and max(gaps.values()) >= 0.5:
        decided, other = sorted(gaps, key=lambda order: gaps[order])
        _refuse_both_orders(times, texts, matches, decided, other)
        return decided
    raise _several_days(times, texts, matches, (_DAY_FIRST, _MONTH_FIRST))


def _year_comes_first(times: TimeColumns, texts: pa.ChunkedArray, dates: Sequence[re.Match[str]]) -> bool:
    """Whether dates such as 19/03/04 begin with the year.

    Raises
    ------
    DataError
        Where they can, and nothing shows whether they do.
    """
    if any(len(each.group(4)) != 2 or len(each.group(1)) != 2 for each in dates):
        return False
    readings = {order: _read(dates, order) for order in (_YEAR_FIRST, _DAY_FIRST, _MONTH_FIRST)}
    gaps = {order: _long_gaps(days) for order, days in readings.items()}
    latest = pd.Timestamp.now() + _AHEAD
    possible = [order for order, days in readings.items() if (days <= latest).all()]
    if _YEAR_FIRST not in possible:
        return False
    if possible == [_YEAR_FIRST] and gaps[_YEAR_FIRST] <= min(gaps.values()):
        return True
    best = min(gaps[order] for order in possible)
    likely = [order for order in possible if best > 0.1 or gaps[order] < 0.5]
    if _YEAR_FIRST not in likely or (times.day_first is not None and len(likely) > 1):
        return False
    if len(likely) > 1:
        raise _several_days(times, texts, dates, likely)
    return True


def _refuse_both_orders(
    times: TimeColumns, texts: pa.ChunkedArray, dates: Sequence[re.Match[str]], decided: _Order, other: _Order
) -> None:
    """Refuse a file with long gaps that the other order of some dates would close."""
    days, others = _read(dates, decided), _read(dates, other)
    gap = days.diff().abs() > _LONG_GAP
    here = ((others - days.shift()).abs() <= _LONG_GAP) | ((others - others.shift()).abs() <= _LONG_GAP)
    before = (days - others.shift()).abs() <= _LONG_GAP
    if (found := np.asarray(gap & (here | before))).sum() < 2:
        return
    place = first_true(found)
    place -= 0 if here[place] else 1  # the date before it is the odd one
    odd = dates[place]
    raise times.fault(
        _row_of(texts, odd.group()),
        f"can be {_said(others[place])}, near the dates around it, or {_said(days[place])}, in the order "
        f"{decided.name} that other dates of the file show; write all in one order, or, if the second is right, "
        + to_set("time_format", f"'{decided.form(odd, times, texts)}'"),
    )


def _row_of(texts: pa.ChunkedArray, date: str) -> int:
    return int(pc.index(pc.starts_with(texts, date), True).as_py())


def _read(dates: Sequence[re.Match[str]], order: _Order) -> pd.Series:
    """The days in this order; NaT where there is no such day."""
    day, month, year = ((1, 3, 4)[group - 1] for group in order.groups)
    written = pd.Series([f"{_year(each.group(year))}-{each.group(month)}-{each.group(day)}" for each in dates])
    return pd.to_datetime(written, format="%Y-%m-%d", errors="coerce")


def _year(written: str) -> str:
    return written if len(written) > 2 else f"{'19' if written >= '70' else '20'}{written.zfill(2)}"


def _long_gaps(days: pd.Series) -> float:
    """Share of steps between the file's dates that are longer than any holiday; of one date, 1/4."""
    steps = days.diff().abs().dropna()
    return 0.25 if steps.empty else float((steps > _LONG_GAP).mean())


def _several_days(
    times: TimeColumns, texts: pa.ChunkedArray, dates: Sequence[re.Match[str]], orders: Sequence[_Order]
) -> DataError:
    date = dates[first_true(np.asarray(_read(dates, orders[0]) != _read(dates, orders[1])))]
    days = " or ".join(_said(_read([date], order)[0]) for order in orders)
    forms = [f"'{order.form(date, times, texts)}'" for order in orders]
    places = ("first", "second", "third")
    others = "".join(f", or {form} for the {place}" for form, place in zip(forms[1:], places[1:], strict=False))
    row = _row_of(texts, date.group())
    return times.fault(row, f"can be {days}; {to_set('time_format', forms[0])} for the first{others}")


def _said(day: pd.Timestamp) -> str:
    return f"{day.day} {day.month_name()} {day.year}"


def _clock_form(times: TimeColumns, texts: pa.ChunkedArray) -> str:
    """The ``strptime`` form of the clock time behind a date."""
    row = int(pc.index(pc.is_valid(texts), True).as_py())
    found = re.search(r"([T ,]+)\d{1,2}:\d{2}(:\d{2})?(\.\d+)?", texts[row].as_py())
    if found is None:
        return ""
    before, seconds, fraction = found.groups()
    minutes = ":%M" + (":%S" if seconds else "") + (".%f" if fraction else "")
    half = re.search(r"(?i)(\s*)[ap]m$", times.written(row).strip())
    return f"{before}%I{minutes}{half.group(1)}%p" if half else f"{before}%H{minutes}"


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
