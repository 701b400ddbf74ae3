"""The bars behind a table of profiles: whole ticks, of the profile's contract, each with its session."""

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.bars import require_bars
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours, label_sessions
from pipeline.profiles.brackets import bracket_ranges
from pipeline.profiles.rows import RowRule

__all__ = ["AlignedBars", "SessionBars", "align_bars", "contract_runs", "require_profiles", "session_bars"]

Ints = NDArray[np.int64]

_PRICES = ("vpoc", "val", "vah", "low", "high")


@dataclass(frozen=True)
class AlignedBars:
    """Bars that count, of the contract in force, from the first session of the profiles on.

    Bars with volume count; where the profiles count time, all.

    The contract in force is that of the last profile at or before the bar's session, so that nothing
    computed from them spans two contracts.

    Attributes
    ----------
    rule
        What the rows of the profiles are.
    instants, low, high, close, steps
        Per bar, int64: nanoseconds since 1970 (the bar's open), ticks, volume steps.
    date
        Per bar, the number of its session in the calendar.
    owner
        Per bar, the row of the last profile at or before its session.
    regular
        Per bar, whether it lies in regular hours.
    session_dates
        Per profile, the number of its session in the calendar.
    runs
        Per profile, which run of sessions of one contract it belongs to: 0, then one more at each roll.
    schedule
        The calendar's sessions, as :func:`pipeline.market.session_schedule` gives them.
    """

    rule: RowRule
    instants: Ints
    low: Ints
    high: Ints
    close: Ints
    steps: Ints
    date: Ints
    owner: Ints
    regular: NDArray[np.bool_]
    session_dates: Ints
    runs: Ints
    schedule: pd.DataFrame

    def instants_of(self, column: str) -> Ints:
        """A column of the schedule for each profile's session, nanoseconds since 1970."""
        return pd.DatetimeIndex(self.schedule[column]).as_unit("ns").asi8[self.session_dates]

    def in_hours(self, hours: Hours) -> NDArray[np.bool_]:
        """Mark the bars within these hours."""
        return self.regular if hours == "rth" else np.ones(len(self.date), np.bool_)


@dataclass(frozen=True)
class SessionBars:
    """The bars that make each profile: session k is ``starts[k]:stops[k]`` of the arrays.

    Attributes
    ----------
    rule, instants, low, high, close, steps
        As in :class:`AlignedBars`.
    starts, stops
        Per profile, where its bars begin and end.
    opens
        Per profile, when its hours open, nanoseconds since 1970.
    """

    rule: RowRule
    instants: Ints
    low: Ints
    high: Ints
    close: Ints
    steps: Ints
    starts: Ints
    stops: Ints
    opens: Ints

    def brackets(self, session: int) -> tuple[Ints, Ints, Ints]:
        """The session's time brackets that have bars: number, lowest and highest tick, each int64."""
        chosen = slice(self.starts[session], self.stops[session])
        number = self.rule.bracket(self.instants[chosen], self.opens[session])
        begins, low, high = bracket_ranges(self.low[chosen], self.high[chosen], number)
        return number[begins], low, high

    def counted(self) -> Ints:
        """Return what each session's profile counts in total: volume steps, or TPOs."""
        if not self.rule.by_time:
            sums = np.append(0, np.cumsum(self.steps))
            return sums[self.stops] - sums[self.starts]
        owner = np.repeat(np.arange(len(self.starts)), self.stops - self.starts)
        number = self.rule.bracket(self.instants, self.opens[owner])
        begins, low, high = bracket_ranges(self.low, self.high, owner, number)
        sums = np.zeros(len(self.starts), np.int64)
        np.add.at(sums, owner[begins], self.rule.row(high) - self.rule.row(low) + 1)
        return sums


def require_profiles(profiles: pd.DataFrame) -> pd.DatetimeIndex:
    """The sessions of a table of profiles, or an error that says what is wrong with it.

    Raises
    ------
    DataError
        For what :func:`pipeline.profiles.session_profiles` doesn't make: a column missing or not finite, an
        index that is not sessions in order, a contract that is empty.
    """
    if not isinstance(profiles, pd.DataFrame):
        raise DataError(f"profiles must be a pandas DataFrame, not {type(profiles).__name__}; use session_profiles")
    if missing := [name for name in (*_PRICES, "volume") if name not in profiles.columns]:
        raise DataError(f"profiles lack {', '.join(missing)}; make them with session_profiles")
    index = profiles.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is not None:
        raise DataError("profiles are not indexed by session (dates without a zone); make them with session_profiles")
    if index.hasnans or not (index.is_monotonic_increasing and index.is_unique):
        raise DataError("profiles must have one row per session in order; sort them and drop duplicates")
    for name in (*_PRICES, "volume"):
        values = profiles[name].to_numpy(np.float64, na_value=np.nan)
        if not np.isfinite(values).all():
            session = index[int(np.argmin(np.isfinite(values)))].date()
            raise DataError(f"profiles have no {name} in session {session}; leave out sessions without volume")
    if len(index) and profiles["volume"].min() <= 0:
        session = index[int(profiles["volume"].to_numpy().argmin())].date()
        raise DataError(f"profiles have no volume in session {session}; leave out sessions without volume")
    if "contract" in profiles.columns and profiles["contract"].isna().any():
        session = index[int(np.argmax(profiles["contract"].isna()))].date()
        raise DataError(f"profiles have no contract in session {session}; make them with session_profiles")
    return index.as_unit("ns").rename("session")


def contract_runs(profiles: pd.DataFrame) -> Ints:
    """Per profile, which run of sessions of one contract it belongs to: 0, then one more at each roll."""
    if "contract" not in profiles.columns or len(profiles) == 0:
        return np.zeros(len(profiles), np.int64)
    names = profiles["contract"].to_numpy(object)
    return np.cumsum(np.append(False, names[1:] != names[:-1]), dtype=np.int64)


def align_bars(bars: pd.DataFrame, profiles: pd.DataFrame, instrument: Instrument, rule: RowRule) -> AlignedBars:
    """Find each bar's session, and keep those that count and are of the contract in force.

    Raises
    ------
    DataError
        For bars or profiles that are not usable, or not of each other.
    """
    sessions = require_profiles(profiles)
    clean = require_bars(bars, ("timestamp", "low", "high", "close", "volume"))
    labels = label_sessions(clean["timestamp"], instrument)
    dates = pd.DatetimeIndex(labels.schedule.index).as_unit("ns").get_indexer(sessions).astype(np.int64)
    if (dates < 0).any():
        _not_of_these_bars(sessions, int(np.argmax(dates < 0)), "has no bars")
    steps = instrument.to_steps(clean["volume"])
    owner = np.searchsorted(dates, labels.position, side="right") - 1
    kept = (labels.position >= 0) & (owner >= 0) & ((steps > 0) | rule.by_time)
    if ("contract" in profiles.columns) != ("contract" in clean.columns):
        which, other = ("profiles", "bars") if "contract" in profiles.columns else ("bars", "profiles")
        raise DataError(
            f"{which} carry a contract and {other} don't; make the profiles with session_profiles from these bars"
        )
    if "contract" in clean.columns and len(sessions):
        codes, names = pd.factorize(clean["contract"])
        ours = pd.Index(np.asarray(names, dtype=object)).get_indexer(profiles["contract"].to_numpy(object))
        kept &= codes == ours[owner]
    rows = np.flatnonzero(kept)
    low, high, close = (instrument.to_ticks(clean[name].to_numpy()[rows]) for name in ("low", "high", "close"))
    return AlignedBars(
        rule=rule,
        instants=pd.DatetimeIndex(clean["timestamp"]).asi8[rows],
        low=low,
        high=high,
        close=close,
        steps=steps[rows],
        date=labels.position[rows],
        owner=owner[rows].astype(np.int64),
        regular=labels.regular[rows],
        session_dates=dates,
        runs=contract_runs(profiles),
        schedule=labels.schedule,
    )


def session_bars(aligned: AlignedBars, profiles: pd.DataFrame, instrument: Instrument, hours: Hours) -> SessionBars:
    """The bars that made each profile.

    Raises
    ------
    DataError
        Where their volume (or TPOs) is not the profile's: the hours, the bars, the rows or the contract are others.
    """
    sessions = require_profiles(profiles)
    own = np.flatnonzero(aligned.in_hours(hours) & (aligned.date == aligned.session_dates[aligned.owner]))
    owner = aligned.owner[own]
    starts, stops = (np.searchsorted(owner, np.arange(len(sessions)), side=side) for side in ("left", "right"))
    opens = aligned.instants_of("rth_open" if hours == "rth" else "open")
    found = SessionBars(
        rule=aligned.rule,
        instants=aligned.instants[own],
        low=aligned.low[own],
        high=aligned.high[own],
        close=aligned.close[own],
        steps=aligned.steps[own],
        starts=starts.astype(np.int64),
        stops=stops.astype(np.int64),
        opens=opens,
    )
    by_time = aligned.rule.by_time
    volume = profiles["volume"].to_numpy(np.float64)
    held, expected = found.counted(), np.rint(volume).astype(np.int64) if by_time else instrument.to_steps(volume)
    if (held != expected).any():
        row = int(np.argmax(held != expected))
        what = "TPOs" if by_time else "volume"
        own_volume = held[row] * (1 if by_time else instrument.volume_step)
        _not_of_these_bars(sessions, row, f"holds {what} {volume[row]:g}, its bars in {hours} hours {own_volume:g}")
    return found


def _not_of_these_bars(sessions: pd.DatetimeIndex, row: int, what: str) -> NoReturn:
    raise DataError(
        f"the profile of session {sessions[row].date()} {what}; make the profiles from the same bars, hours and rows"
    )
