"""Features of the coming session in the exchange's calendar, known long ahead.

Holidays are those that follow from rules; a closure decreed at short notice (a day of mourning) counts as a holiday
nowhere here, so that nothing is known before it could be.
"""

import re
from functools import lru_cache

import exchange_calendars
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.features.inputs import FeatureInputs
from pipeline.features.registry import feature
from pipeline.market import next_session

__all__: list[str] = []  # the registry finds them

Floats = NDArray[np.float64]

# Days to a holiday farther off than that are given as that.
_NEAR_DAYS = 10
_DAY = np.timedelta64(1, "D")
# Equity-index futures of the CME group, which expire on the third Friday of March, June, September and December.
_INDEX_ROOTS = frozenset({"ES", "MES", "NQ", "MNQ", "YM", "MYM", "RTY", "M2K", "EMD"})
_QUARTERLY = {"H": 3, "M": 6, "U": 9, "Z": 12}
_CODE = re.compile(r"^([A-Z0-9]{2,3}?)([HMUZ])(\d{1,2}|\d{4})$")


def _coming(inputs: FeatureInputs) -> NDArray[np.datetime64]:
    """The session after each one, by the exchange's calendar."""
    made: NDArray[np.datetime64] = inputs.once(
        "coming sessions",
        lambda: next_session(inputs.sessions, inputs.instrument, inputs.settings.hours).to_numpy().astype("M8[D]"),
    )
    return made


@lru_cache(maxsize=8)
def _holidays(calendar: str, first_year: int, last_year: int) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
    """Days closed by rule, and days that close early by rule; weekdays of the exchange only."""
    exchange = exchange_calendars.get_calendar(calendar)
    span = pd.Timestamp(first_year, 1, 1), pd.Timestamp(last_year, 12, 31)
    weekmask = [day == "1" for day in exchange.weekmask]

    def dates(rules: list[object]) -> NDArray[np.datetime64]:
        # A rule may also be a weekday's number: such early closes are not holidays.
        found = [pd.DatetimeIndex(rule.holidays(*span)) for rule in rules if hasattr(rule, "holidays")]
        days = np.unique(np.concatenate([np.empty(0, "M8[D]"), *(each.to_numpy().astype("M8[D]") for each in found)]))
        return days[np.asarray(weekmask)[(days.astype(np.int64) + 3) % 7]]

    closed = dates([exchange.regular_holidays])
    early = dates([rule for _, rule in exchange.special_closes])
    return closed, np.setdiff1d(early, closed)


def _rules(inputs: FeatureInputs) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
    years = inputs.sessions.year
    # Whole decades, so that the sessions' first and last change nothing.
    return _holidays(inputs.instrument.calendar, years.min() // 10 * 10 - 1, years.max() // 10 * 10 + 10)


@feature(family="calendar", warmup=1, description="Weekday of the coming session, Monday 0 to Sunday 6.")
def weekday(inputs: FeatureInputs) -> Floats:
    return ((_coming(inputs).astype(np.int64) + 3) % 7).astype(np.float64)


@feature(
    family="calendar",
    warmup=1,
    description="Days from this session to the coming one: 1, over a weekend 3, longer before holidays.",
)
def days_to_session(inputs: FeatureInputs) -> Floats:
    return (_coming(inputs) - inputs.sessions.to_numpy().astype("M8[D]")) / _DAY


def _place_in_month(inputs: FeatureInputs) -> tuple[Floats, Floats]:
    """Sessions of its month up to the coming one, and those left after it, by the rules of the calendar."""
    coming = _coming(inputs)
    closed = _rules(inputs)[0]
    weekmask = exchange_calendars.get_calendar(inputs.instrument.calendar).weekmask
    start = coming.astype("M8[M]").astype("M8[D]")
    end = (coming.astype("M8[M]") + 1).astype("M8[D]")
    before = np.busday_count(start, coming, weekmask=weekmask, holidays=closed)
    after = np.busday_count(coming + 1, end, weekmask=weekmask, holidays=closed)
    return before.astype(np.float64) + 1, after.astype(np.float64)


@feature(family="calendar", warmup=1, description="Which session of its month the coming one is, from 1.")
def session_of_month(inputs: FeatureInputs) -> Floats:
    return _place_in_month(inputs)[0]


@feature(family="calendar", warmup=1, description="Sessions left in the month after the coming one.")
def sessions_left_in_month(inputs: FeatureInputs) -> Floats:
    return _place_in_month(inputs)[1]


@feature(
    family="calendar",
    warmup=1,
    description="1 where the coming session is the last of its month or one of the first three (Lakonishok and Smidt "
    "1988), else 0.",
)
def month_turn(inputs: FeatureInputs) -> Floats:
    number, left = _place_in_month(inputs)
    return ((number <= 3) | (left == 0)).astype(np.float64)


@feature(
    family="calendar",
    warmup=1,
    description="Days from the coming session to the next holiday (closed or closing early, by rule), 0 on one, at "
    "most 10.",
)
def days_to_holiday(inputs: FeatureInputs) -> Floats:
    coming, days = _coming(inputs), np.union1d(*_rules(inputs))
    following = np.append(days, np.datetime64("2262-01-01"))[np.searchsorted(days, coming)]
    return np.minimum((following - coming) / _DAY, _NEAR_DAYS)


@feature(
    family="calendar",
    warmup=1,
    description="Days from the last holiday (closed or closing early, by rule) before the coming session to it, at "
    "most 10.",
)
def days_after_holiday(inputs: FeatureInputs) -> Floats:
    coming, days = _coming(inputs), np.union1d(*_rules(inputs))
    last = np.append(np.datetime64("1700-01-01"), days)[np.searchsorted(days, coming)]
    return np.minimum((coming - last) / _DAY, _NEAR_DAYS)


@feature(family="calendar", warmup=1, description="1 where the coming session closes early by rule, else 0.")
def early_close(inputs: FeatureInputs) -> Floats:
    return np.isin(_coming(inputs), _rules(inputs)[1]).astype(np.float64)


@feature(
    family="calendar",
    warmup=1,
    description="Days from the coming session to the expiry of this session's contract: the third Friday of its month, "
    "the day before where New York is closed; equity-index futures of the CME group only, missing for others.",
    needs=("contract",),
)
def days_to_expiry(inputs: FeatureInputs) -> Floats:
    names = inputs.history["contract"].to_numpy(object)
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1])) if len(names) else np.empty(0, np.int64)
    expiries = [_expiry(str(names[row]), inputs.sessions[row]) for row in starts]
    run = np.cumsum(np.append(True, names[1:] != names[:-1]))[: len(names)] - 1
    return (np.array(expiries, "M8[D]")[run] - _coming(inputs)) / _DAY


def _expiry(code: str, session: pd.Timestamp) -> np.datetime64:
    """Last trade date of ``ESH25``, ``ESH5`` or ``ESH2025``, seen from a session it trades in; NaT for other codes."""
    found = _CODE.match(code)
    if found is None or found[1] not in _INDEX_ROOTS:
        return np.datetime64("NaT")
    month, digits = _QUARTERLY[found[2]], found[3]
    if len(digits) == 4:
        return _third_friday(int(digits), month)
    # The year that ends in these digits and lies next: the contract has not expired.
    span = 10 ** len(digits)
    year = session.year + (int(digits) - session.year) % span
    expiry = _third_friday(year, month)
    return expiry if expiry >= np.datetime64(session.date()) else _third_friday(year + span, month)


def _third_friday(year: int, month: int) -> np.datetime64:
    first = np.datetime64(f"{year}-{month:02d}", "D")
    friday: np.datetime64 = np.busday_offset(first, 2, roll="forward", weekmask="Fri")
    closed = _holidays("XNYS", year // 10 * 10 - 1, year // 10 * 10 + 10)[0]
    return np.datetime64(np.busday_offset(friday, 0, roll="backward", holidays=closed))
