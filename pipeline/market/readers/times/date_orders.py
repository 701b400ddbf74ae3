"""Order of day, month and year in dates: decided by numbers above 12 or by neighbouring days."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import DataError
from pipeline.market.readers.options import to_set
from pipeline.market.readers.times.columns import LONG_GAP, TimeColumns, first_true, latest, long_gaps

__all__ = ["year_first"]

_DAY_OR_MONTH = re.compile(r"(\d{1,2})([-/.])(\d{1,2})[-/.](\d{4}|\d{2})(?=$|[T ,])")


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


def year_first(times: TimeColumns, texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str]:
    """The times with the year first, and how dates of two-digit numbers were read."""
    texts = pc.replace_substring_regex(texts, r"^(\d{4})\.(\d{1,2})\.(\d{1,2})", r"\1-\2-\3")
    first = texts.drop_null().slice(0, 1)
    if len(first) == 0 or _DAY_OR_MONTH.match(first[0].as_py()) is None:
        return texts, ""
    order = _order(times, texts)
    day, month, year = (rf"\{group}" for group in order.groups)
    for digits, century in ((r"[7-9]\d", "19"), (r"\d{2}", "20"), (r"\d{4}", "")):
        parts = [r"(\d{1,2})"] * 3
        parts[order.groups[2] - 1] = f"({digits})"
        pattern = "^" + "[-/.]".join(parts) + r"(?:,? +|,|T|$)(.*)$"
        texts = pc.replace_substring_regex(texts, pattern, rf"{century}{year}-{month}-{day} \4")
    return pc.utf8_rtrim_whitespace(texts), f"dates read as {order.name}"


def _order(times: TimeColumns, texts: pa.ChunkedArray) -> _Order:
    """Find the order of dates such as 03/02/2022: by a number above 12, or by days that follow one another."""
    dates = pc.replace_substring_regex(texts, r"[T ,].*$", "").drop_null()
    matches = [found for each in dates.unique().to_pylist() if (found := _DAY_OR_MONTH.match(each))]
    if _year_comes_first(times, texts, matches):
        return _YEAR_FIRST
    firsts, seconds = ([int(each.group(place)) for each in matches] for place in (1, 3))
    clock = pc.any(pc.match_substring(texts, ":")).as_py()
    gaps = {order: long_gaps(_read(matches, order)) for order in (_DAY_FIRST, _MONTH_FIRST)}
    if (max(firsts) > 12) != (max(seconds) > 12):
        decided, other = (_DAY_FIRST, _MONTH_FIRST) if max(firsts) > 12 else (_MONTH_FIRST, _DAY_FIRST)
        if clock and gaps[decided] >= 0.5 and gaps[other] <= 0.1:
            # One mistyped day must not turn all others around.
            odd = matches[int(np.argmax(firsts if decided is _DAY_FIRST else seconds))].group()
            what = "has another order of day and month than the dates around it; fix it"
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
    """Return True if dates such as 19/03/04 begin with the year.

    Raises
    ------
    DataError
        Where they can, and nothing shows whether they do.
    """
    if any(len(each.group(4)) != 2 or len(each.group(1)) != 2 for each in dates):
        return False
    readings = {order: _read(dates, order) for order in (_YEAR_FIRST, _DAY_FIRST, _MONTH_FIRST)}
    gaps = {order: long_gaps(days) for order, days in readings.items()}
    possible = [order for order, days in readings.items() if (days <= latest()).all()]
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
    gap = days.diff().abs() > LONG_GAP
    here = ((others - days.shift()).abs() <= LONG_GAP) | ((others - others.shift()).abs() <= LONG_GAP)
    before = (days - others.shift()).abs() <= LONG_GAP
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


def _several_days(
    times: TimeColumns, texts: pa.ChunkedArray, dates: Sequence[re.Match[str]], orders: Sequence[_Order]
) -> DataError:
    date = dates[first_true(np.asarray(_read(dates, orders[0]) != _read(dates, orders[1])))]
    readings = [(_said(_read([date], order)[0]), order.form(date, times, texts)) for order in orders]
    return times.ambiguous(_row_of(texts, date.group()), readings)


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
