"""Sessions: the exchange's trade dates, and which one a bar belongs to.

A session is the exchange's trade date (CMES: 17:00 Chicago the evening before to 16:00), from
``exchange_calendars`` and the dated exceptions of ``trading_hours.yaml``, with holidays, early closes and
daylight saving. ``eth`` means all of it, ``rth`` the regular hours within it.
"""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

import exchange_calendars
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.instruments import Instrument, RegularHours
from pipeline.market.trading_hours import HoursException, hours_exceptions

__all__ = [
    "Hours",
    "SessionLabels",
    "SessionSlices",
    "at_clock",
    "check_hours",
    "label_sessions",
    "next_session",
    "rows_of",
    "session_schedule",
    "session_slices",
    "trade_date",
]

Hours = Literal["rth", "eth"]

_HORIZON = pd.Timedelta(days=10)  # longer than any closure, so that neighbours are always found
_NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class SessionLabels:
    """Session of each timestamp.

    Attributes
    ----------
    schedule
        The sessions around the timestamps, as :func:`session_schedule` gives them.
    position
        Per timestamp, its session's row in ``schedule``; −1 outside every session.
    regular
        Per timestamp, whether it lies in its session's regular hours.
    """

    schedule: pd.DataFrame
    position: NDArray[np.int64]
    regular: NDArray[np.bool_]

    def mask(self, hours: Hours) -> NDArray[np.bool_]:
        """Mark the timestamps within these hours of some session."""
        check_hours(hours)
        return self.regular if hours == "rth" else self.position >= 0

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """Per timestamp, its session; NaT outside every session."""
        index = self.schedule.index
        dates = np.full(len(self.position), np.datetime64("NaT", "ns"))
        inside = self.position >= 0
        dates[inside] = index.to_numpy()[self.position[inside]]
        return pd.DatetimeIndex(dates, name="session")


@dataclass(frozen=True)
class SessionSlices:
    """Sessions of instants that do not fall, as slices of them.

    Attributes
    ----------
    sessions
        Sessions with instants in the hours asked for, as nanoseconds of their midnight, rising, shape (sessions,).
    starts, stops
        Session k is the instants ``starts[k]:stops[k]``, shape (sessions,).
    opens
        When the hours of each open, nanoseconds, shape (sessions,).
    """

    sessions: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    opens: NDArray[np.int64]

    @property
    def index(self) -> pd.DatetimeIndex:
        """The sessions as an index."""
        return pd.DatetimeIndex(self.sessions.view("M8[ns]"), name="session")

    @property
    def rows(self) -> NDArray[np.int64]:
        """The positions of all instants in these slices, one slice after the other."""
        return rows_of(self.starts, self.stops)

    def mask(self, count: int) -> NDArray[np.bool_]:
        """Mark those of ``count`` instants that lie in these slices."""
        edges = np.concatenate([[0], np.stack([self.starts, self.stops], axis=1).ravel(), [count]])
        between = np.zeros(len(edges) - 1, dtype=np.bool_)
        between[1::2] = True
        return np.repeat(between, np.diff(edges))


def check_hours(hours: str) -> None:
    """Refuse hours that are neither the regular ones nor the whole trade date."""
    if hours not in ("rth", "eth"):
        raise ConfigurationError(f"hours is {hours!r}; it must be 'rth' (regular) or 'eth' (the whole trade date)")


def trade_date(value: dt.date | str, what: str) -> pd.Timestamp:
    """A date as a session's label, midnight without a zone; ``what`` is what to call it in an error."""
    try:
        date = pd.Timestamp(value)
    except (ValueError, TypeError):
        date = pd.NaT
    if date is pd.NaT:
        raise ConfigurationError(f"{what} {value!r} is not a date; write it as 2021-03-15")
    return cast(pd.Timestamp, date.tz_localize(None).normalize())


def rows_of(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of the rows of slices, one slice after the other."""
    lengths = stops - starts
    return np.arange(int(lengths.sum())) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)


@lru_cache(maxsize=8)
def _calendar(name: str, first_year: int, last_year: int) -> exchange_calendars.ExchangeCalendar:
    # Whole decades, so that nearby requests share one calendar.
    try:
        return exchange_calendars.get_calendar(name, start=f"{first_year}-01-01", end=f"{last_year}-12-31")
    except ValueError as error:
        raise DataError(
            f"calendar {name} has no sessions for {first_year} to {last_year}: {' '.join(str(error).split())}"
        ) from error


@lru_cache(maxsize=8)
def _bounds(name: str) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    kind = type(exchange_calendars.get_calendar(name))
    return kind.bound_min(), kind.bound_max()


def _calendar_covering(name: str, first: pd.Timestamp, last: pd.Timestamp) -> exchange_calendars.ExchangeCalendar:
    if not 1900 <= first.year <= last.year <= 2200:
        raise DataError(f"timestamps from {first.date()} to {last.date()} are outside 1900 to 2200; check their unit")
    start, end = first.year // 10 * 10, last.year // 10 * 10 + 9
    lower, upper = _bounds(name)
    if lower is not None:
        start = max(start, lower.year + (lower.dayofyear > 1))
    if upper is not None:
        end = min(end, upper.year - 1)
    return _calendar(name, start, end)


def session_schedule(instrument: Instrument, first: dt.date | str, last: dt.date | str) -> pd.DataFrame:
    """Sessions of an instrument from ``first`` to ``last``, both included.

    Returns
    -------
    DataFrame
        Indexed by session (midnight, no zone): ``open``, ``close``, ``rth_open``, ``rth_close``, all UTC.
        Regular hours are clipped to early closes; where nothing is left of them (or the exchange
        opens after them) ``rth_close`` equals ``rth_open``.
    """
    begin, end = pd.Timestamp(first), pd.Timestamp(last)
    return _whole_schedule(*_rules(instrument, begin, end)).loc[begin:end].copy()


_Rules = tuple[
    exchange_calendars.ExchangeCalendar, tuple[HoursException, ...], str, RegularHours | None, dt.time | None
]


def _rules(instrument: Instrument, first: pd.Timestamp, last: pd.Timestamp) -> _Rules:
    """All that decides an instrument's sessions in the decades of these dates."""
    calendar = _calendar_covering(instrument.calendar, first, last)
    exceptions = hours_exceptions(instrument.calendar, instrument.trading_hours, instrument.symbol)
    return calendar, exceptions, instrument.time_zone, instrument.regular_hours, instrument.session_close


@lru_cache(maxsize=16)
def _whole_schedule(
    calendar: exchange_calendars.ExchangeCalendar,
    exceptions: tuple[HoursException, ...],
    time_zone: str,
    regular_hours: RegularHours | None,
    session_close: dt.time | None,
) -> pd.DataFrame:
    # Of the calendar's decades at once: to work it out takes longer than a year of bars does.
    schedule = _with_exceptions(calendar, exceptions)
    sessions = pd.DatetimeIndex(schedule.index.to_numpy(), name="session").as_unit("ns")
    opens = pd.DatetimeIndex(schedule["open"]).as_unit("ns")
    closes = pd.DatetimeIndex(schedule["close"]).as_unit("ns")
    zone = ZoneInfo(time_zone)
    if session_close is not None:
        closes = _earlier(closes, at_clock(sessions, session_close, zone))
    if regular_hours is None:
        rth_opens, rth_closes = opens, closes
    else:
        rth_opens = _later(opens, at_clock(sessions, regular_hours.open, zone))
        rth_closes = _earlier(closes, at_clock(sessions, regular_hours.close, zone))
        rth_closes = _later(rth_closes, rth_opens)
    return pd.DataFrame(
        {"open": opens, "close": closes, "rth_open": rth_opens, "rth_close": rth_closes}, index=sessions
    )


@lru_cache(maxsize=16)
def _whole_bounds(*rules: Any) -> dict[str, NDArray[np.int64]]:
    """The columns of :func:`_whole_schedule`, and its sessions, as nanoseconds."""
    schedule = _whole_schedule(*rules)
    return {"session": schedule.index.asi8, **{name: _instants(schedule[name]) for name in schedule.columns}}


def session_slices(instants: NDArray[np.int64], instrument: Instrument, hours: Hours) -> SessionSlices:
    """The sessions that have instants in the hours, each as a slice of them.

    A session's two ends are looked up in the instants, not each instant's session: a few microseconds a year of bars.

    Parameters
    ----------
    instants
        UTC nanoseconds, not falling, shape (n,).

    Raises
    ------
    ConfigurationError
        For other hours.
    DataError
        For instants outside the years 1900 to 2200, or those of the calendar.
    """
    check_hours(hours)
    if len(instants) == 0:
        return SessionSlices(_NOTHING, _NOTHING, _NOTHING, _NOTHING)
    first, last = (pd.Timestamp(int(instants[row])).normalize() for row in (0, -1))
    bounds = _whole_bounds(*_rules(instrument, first - _HORIZON, last + _HORIZON))
    near = slice(
        np.searchsorted(bounds["close"], instants[0], side="right"),
        np.searchsorted(bounds["open"], instants[-1], side="right"),
    )
    opens, closes = (bounds[f"rth_{end}" if hours == "rth" else end][near] for end in ("open", "close"))
    starts, stops = np.searchsorted(instants, opens), np.searchsorted(instants, closes)
    # Where two overlap, the later has begun: an instant belongs to the session that opened last.
    stops = np.minimum(stops, np.append(starts[1:], len(instants))[: len(stops)])
    filled = stops > starts
    return SessionSlices(bounds["session"][near][filled], starts[filled], stops[filled], opens[filled])


def _with_exceptions(
    calendar: exchange_calendars.ExchangeCalendar, exceptions: tuple[HoursException, ...]
) -> pd.DataFrame:
    """Open and close (UTC) by session, the calendar's own but for the exceptions' dates."""
    schedule = calendar.schedule[["open", "close"]].astype("datetime64[ns, UTC]")
    closes = {
        day: each.close
        for each in exceptions
        for day in map(pd.Timestamp, each.dates)
        if calendar.first_session <= day <= calendar.last_session
    }
    if not closes:
        return schedule
    open_days = {day: close for day, close in closes.items() if close is not None}
    opened = pd.DatetimeIndex(list(open_days))
    # A session that the calendar doesn't have opens as on any other day.
    usual = at_clock(opened + pd.Timedelta(days=calendar.open_offset), calendar.open_times[-1][1], calendar.tz)
    opens = schedule["open"].reindex(opened).fillna(pd.Series(usual, index=opened))
    ends = [at_clock(pd.DatetimeIndex([day]), close, calendar.tz)[0] for day, close in open_days.items()]
    own = pd.DataFrame({"open": opens, "close": pd.DatetimeIndex(ends, tz="UTC")}, index=opened)
    return pd.concat([schedule.drop(schedule.index.intersection(list(closes))), own]).sort_index()


def label_sessions(timestamps: pd.DatetimeIndex | pd.Series, instrument: Instrument) -> SessionLabels:
    """The session of each timestamp (a bar's open), and whether it lies in regular hours.

    Parameters
    ----------
    timestamps
        Time-zone-aware instants, in any order, shape (n,).

    Raises
    ------
    DataError
        If the timestamps carry no time zone.
    """
    index = pd.DatetimeIndex(timestamps)
    if index.tz is None:
        raise DataError("timestamps carry no time zone; localize them to their zone, then convert to UTC")
    index = index.tz_convert("UTC").as_unit("ns")
    if len(index) == 0:
        empty = session_schedule(instrument, "2020-01-01", "2020-01-10").iloc[:0]
        return SessionLabels(empty, np.empty(0, np.int64), np.empty(0, np.bool_))
    first, last = index.min().tz_localize(None).normalize(), index.max().tz_localize(None).normalize()
    schedule = session_schedule(instrument, first - _HORIZON, last + _HORIZON)
    instants = index.asi8
    if (instants[1:] >= instants[:-1]).all():
        return _label_sorted(instants, schedule)
    opens, closes = _instants(schedule["open"]), _instants(schedule["close"])
    position = np.searchsorted(opens, instants, side="right") - 1
    inside = (position >= 0) & (instants < closes[position])
    rth_opens, rth_closes = _instants(schedule["rth_open"]), _instants(schedule["rth_close"])
    regular = inside & (instants >= rth_opens[position]) & (instants < rth_closes[position])
    return SessionLabels(schedule, np.where(inside, position, -1), regular)


def _label_sorted(instants: NDArray[np.int64], schedule: pd.DataFrame) -> SessionLabels:
    """Labels of rising instants: a session is a slice of them, so its ends are looked up, not every instant."""
    count = len(instants)

    def slices(opens: str, closes: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.searchsorted(instants, _instants(schedule[opens])), np.searchsorted(
            instants, _instants(schedule[closes])
        )

    def spread(values: NDArray[Any], starts: NDArray[np.int64], stops: NDArray[np.int64], outside: object) -> Any:
        edges = np.concatenate([[0], np.stack([starts, stops], axis=1).ravel(), [count]])
        between = np.full(len(edges) - 1, outside, dtype=values.dtype)
        between[1::2] = values
        return np.repeat(between, np.diff(edges))

    starts, stops = slices("open", "close")
    # Where two overlap, the later has begun: an instant belongs to the session that opened last.
    stops = np.clip(stops, starts, np.append(starts[1:], count))
    regular_starts, regular_stops = slices("rth_open", "rth_close")
    regular_starts = np.clip(regular_starts, starts, stops)
    regular_stops = np.clip(regular_stops, regular_starts, stops)
    return SessionLabels(
        schedule,
        spread(np.arange(len(schedule)), starts, stops, -1),
        spread(np.ones(len(schedule), dtype=np.bool_), regular_starts, regular_stops, False),
    )


def next_session(sessions: pd.DatetimeIndex, instrument: Instrument, hours: Hours = "eth") -> pd.DatetimeIndex:
    """Return for each session (strictly: each date) the first session after it that has such hours.

    A Good Friday that closes before regular hours open is a session, but none to trade in for who trades those.
    """
    if len(sessions) == 0:
        return sessions
    schedule = session_schedule(instrument, sessions.min(), sessions.max() + _HORIZON)
    opens, closes = ("rth_open", "rth_close") if hours == "rth" else ("open", "close")
    calendar = schedule.index[schedule[closes] > schedule[opens]]
    return calendar[np.searchsorted(calendar.to_numpy(), sessions.as_unit("ns").to_numpy(), side="right")]


def at_clock(sessions: pd.DatetimeIndex, clock: dt.time, zone: ZoneInfo) -> pd.DatetimeIndex:
    """The instants (UTC) of a local clock time on these dates."""
    offset = pd.Timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second)
    local = (sessions + offset).tz_localize(zone, ambiguous=np.zeros(len(sessions), bool), nonexistent="shift_forward")
    return local.tz_convert("UTC").as_unit("ns")


def _instants(column: pd.Series) -> NDArray[np.int64]:
    return pd.DatetimeIndex(column).as_unit("ns").asi8


def _earlier(left: pd.DatetimeIndex, right: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return left.where(left <= right, right)


def _later(left: pd.DatetimeIndex, right: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return left.where(left >= right, right)
