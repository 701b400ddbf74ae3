"""Times written as one number: counts of seconds or days since some day, or a date's digits in a row.

A number's size does not always say what it is: 1,903,051,800 is a second of 2030 and half past 18 on 5 March 2019. Of
the forms that give every row a date at which there were bars, the one is taken that is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.readers.times.columns import DAYS_TO_1970, NAT, TimeColumns, first_true, latest, long_gaps

__all__ = ["Numbers", "read_epochs"]

SECOND = 10**9
DAY = 86_400 * SECOND
FIRST = pd.Timestamp("1980-01-01").value  # nanoseconds: no electronic bars before

PROOF = 20  # rows whose digits all make a date are one
_ROUND_STEPS = tuple(seconds * SECOND for seconds in (1, 5, 10, 15, 20, 30))


@dataclass(frozen=True)
class Epoch:
    """A way to count time.

    Attributes
    ----------
    name
        What to call it.
    unit
        What one counts, in nanoseconds.
    before_1970
        Where it counts from, in seconds before 1970.
    in_utc
        Whether it counts in UTC, or in the time of the clock it was read from.
    """

    name: str
    unit: int
    before_1970: int = 0
    in_utc: bool = True

    def nanoseconds(self, numbers: NDArray[Any]) -> NDArray[np.int64]:
        """Since 1970; NaT where it is not a date of bars."""
        low, high = (
            (FIRST // SECOND + self.before_1970) * SECOND,
            (latest().value // SECOND + self.before_1970) * SECOND,
        )
        fits = (numbers >= -(-low // self.unit)) & (numbers <= high // self.unit)
        found = np.full(len(numbers), NAT)
        if numbers.dtype == np.int64:
            whole, rest = numbers[fits], np.zeros(int(fits.sum()), dtype=np.int64)
        else:  # the fraction apart and to the microsecond, or it drowns in the float's rounding
            floor = np.floor(numbers[fits].astype(np.float64))
            parts = max(self.unit // 1000, 1)
            rest = np.rint((numbers[fits].astype(np.float64) - floor) * parts).astype(np.int64) * (self.unit // parts)
            whole = floor.astype(np.int64)
        # From the epoch's own beginning nanoseconds may pass int64: whole units of 1970 first.
        found[fits] = (whole - self.before_1970 * SECOND // self.unit) * self.unit + rest
        return found


UNIX = (
    Epoch("epoch seconds", SECOND),
    Epoch("epoch milliseconds", 10**6),
    Epoch("epoch microseconds", 10**3),
    Epoch("epoch nanoseconds", 1),
)
OTHERS = (
    Epoch("ticks of .NET", 100, 62_135_596_800, in_utc=False),
    Epoch("Windows file times", 100, 11_644_473_600),
    Epoch("seconds since 1904", SECOND, 2_082_844_800, in_utc=False),
    Epoch("a spreadsheet's days since 1900", DAY, DAYS_TO_1970 * 86_400, in_utc=False),
    Epoch("days since 1970", DAY, in_utc=False),
)
DIGITS = {
    "%Y%m%d": 8, "%Y%m%d%H%M": 12, "%Y%m%d%H%M%S": 14, "%y%m%d%H%M": 10, "%y%m%d%H%M%S": 12,
    "%d%m%Y": 8, "%d%m%Y%H%M": 12, "%d%m%Y%H%M%S": 14, "%d%m%y%H%M": 10, "%d%m%y%H%M%S": 12,
    "%m%d%Y": 8, "%m%d%Y%H%M": 12, "%m%d%Y%H%M%S": 14, "%m%d%y%H%M": 10, "%m%d%y%H%M%S": 12,
}  # fmt: skip


@dataclass(frozen=True)
class Numbers:
    """Times read from numbers.

    Attributes
    ----------
    nanoseconds
        Since 1970; NaT where empty.
    in_utc, name
        Whether they count in UTC, and how they were read, in words.
    form
        Of a date's digits, their ``strptime`` form.
    """

    nanoseconds: NDArray[np.int64]
    in_utc: bool
    name: str
    form: str | None = None

    def at(self, row: int) -> tuple[str, str | None]:
        """One of the times in words, and the form that reads it so."""
        return f"{pd.Timestamp(int(self.nanoseconds[row]))} ({self.name})", self.form


def read_epochs(times: TimeColumns, numbers: NDArray[Any], present: NDArray[np.bool_]) -> Numbers:
    """Read times written as numbers.

    Parameters
    ----------
    times
        Where they stand, for errors.
    numbers
        Int64 or float64, shape (n,); anything where not ``present``.
    present
        Where a cell is filled, shape (n,).

    Raises
    ------
    DataError
        Where no form gives every row a date of bars, where two do, or where rounding has moved the times.
    """
    given = numbers[present]
    if len(given) == 0:
        return Numbers(np.full(len(numbers), NAT), True, "no times at all")
    found = list(_readings(given))
    if len(found) > 1:
        found = _one_of_digits(times, present, found)
    if not found:
        unix = _of_unix(given)[0]
        raise times.unreadable(int(np.flatnonzero(present)[first_true(unix == NAT) if (unix == NAT).any() else 0]))
    taken = found[0]
    for other in found[1:]:
        taken = _likelier(times, present, taken, other)
    if taken.name.startswith("epoch"):
        _refuse_rounded(times, present, given, taken.nanoseconds)
    elif "spreadsheet" in taken.name:
        taken = _whole_seconds(times, present, taken)
    nanoseconds = np.full(len(numbers), NAT)
    nanoseconds[present] = taken.nanoseconds
    return Numbers(nanoseconds, taken.in_utc, taken.name)


def _readings(numbers: NDArray[Any]) -> Iterator[Numbers]:
    """Each form in which every number is a date of bars, the commonest first."""
    unix, name = _of_unix(numbers)
    if (unix != NAT).all():
        yield Numbers(unix, True, name)
    for form, width in DIGITS.items():
        days = _of_digits(numbers, form, width)
        if days is not None:
            yield Numbers(days, False, f"the digits {form}", form)
    for epoch in OTHERS:
        instants = epoch.nanoseconds(numbers)
        if (instants != NAT).all():
            yield Numbers(instants, epoch.in_utc, epoch.name)


def _of_unix(numbers: NDArray[Any]) -> tuple[NDArray[np.int64], str]:
    # Row by row, since a vendor may change the unit (Binance did, in 2025): the units' numbers never overlap.
    instants = np.full(len(numbers), NAT)
    units = []
    for epoch in UNIX:
        mine = epoch.nanoseconds(numbers)
        if (mine != NAT).any():
            units.append(epoch.name)
            instants = np.where(mine != NAT, mine, instants)
    return instants, " and ".join(units).replace("and epoch ", "and ")


def _of_digits(numbers: NDArray[Any], form: str, width: int) -> NDArray[np.int64] | None:
    short = not form.startswith("%Y")  # a day, a month or 2003 begins with a zero, which a number loses
    low, high = float(np.min(numbers)), float(np.max(numbers))
    if (
        high >= 10.0**width
        or low < 10.0 ** (width - (2 if short else 1))
        or low < 0
        or not (numbers == np.floor(numbers)).all()
    ):
        return None
    texts = pd.Series(np.char.zfill(np.char.mod("%d", numbers.astype(np.int64)), width))
    parsed = pd.to_datetime(texts, format=form, errors="coerce")
    if parsed.isna().any():
        return None
    nanoseconds = pd.DatetimeIndex(parsed).as_unit("ns").asi8
    return nanoseconds if nanoseconds.min() >= FIRST and nanoseconds.max() <= latest().value else None


def _one_of_digits(times: TimeColumns, present: NDArray[np.bool_], found: list[Numbers]) -> list[Numbers]:
    """The readings with one of those by digits: that whose days follow one another.

    Raises
    ------
    DataError
        Where several do.
    """
    digits = [each for each in found if each.form is not None]
    if len(digits) < 2:
        return found
    gaps = [long_gaps(pd.Series(pd.unique(each.nanoseconds // DAY * DAY).view("M8[ns]"))) for each in digits]
    likely = [each for each, share in zip(digits, gaps, strict=True) if min(gaps) > 0.1 or share < 0.5]
    if "%H" not in likely[0].name:
        likely = digits  # days of every month may be bars of months
    if any("%Y" in each.name for each in likely):
        likely = [each for each in likely if "%Y" in each.name]  # whole years are not seconds
    if len(likely) > 1 and not likely[0].name.startswith("the digits %Y"):
        counts = [each for each in found if each.form is None and len(each.nanoseconds) < PROOF]
        row = first_true(likely[0].nanoseconds != likely[1].nanoseconds)
        raise times.ambiguous(int(np.flatnonzero(present)[row]), [each.at(row) for each in counts + likely])
    return [each for each in found if each is likely[0] or each.form is None]


def _likelier(times: TimeColumns, present: NDArray[np.bool_], one: Numbers, other: Numbers) -> Numbers:
    """Return the likelier of two forms of dates: the one with bars of a round length, or by many rows' digits."""
    if other.form is not None and one.form is None:
        if len(other.nanoseconds) >= PROOF:
            return other
        raise times.ambiguous(int(np.flatnonzero(present)[0]), [one.at(0), other.at(0)])
    return other if not _is_round(one.nanoseconds) and _is_round(other.nanoseconds) else one


def _is_round(nanoseconds: NDArray[np.int64]) -> bool:
    steps, counts = np.unique(np.diff(np.unique(nanoseconds)), return_counts=True)
    if len(steps) == 0:
        return True
    step = int(steps[np.argmax(counts)])
    return step % (60 * SECOND) == 0 or step in _ROUND_STEPS


def _refuse_rounded(
    times: TimeColumns, present: NDArray[np.bool_], numbers: NDArray[Any], nanoseconds: NDArray[np.int64]
) -> None:
    """Refuse times that once were 32-bit floats, and so are rounded to 128 seconds or more."""
    # Bars of 8 hours or days fall on such numbers by themselves.
    rounded = len(numbers) > 3 and (np.float32(numbers).astype(np.float64) == numbers.astype(np.float64)).all()
    if rounded and (nanoseconds % (8 * 3600 * SECOND) != 0).any():
        raise times.fault(
            int(np.flatnonzero(present)[0]),
            "and all others were rounded to two minutes or so by a 32-bit float; write the times as 64-bit integers",
        )


def _whole_seconds(times: TimeColumns, present: NDArray[np.bool_], taken: Numbers) -> Numbers:
    seconds = np.rint(taken.nanoseconds / SECOND).astype(np.int64) * SECOND
    far = np.abs(taken.nanoseconds - seconds) > SECOND // 50
    if far.any() or not _is_round(seconds):
        raise times.fault(
            int(np.flatnonzero(present)[first_true(far)]),
            "is a spreadsheet's day with too few decimals to tell the second; export the times as text",
        )
    return Numbers(seconds, taken.in_utc, taken.name)
