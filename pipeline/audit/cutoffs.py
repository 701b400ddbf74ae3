"""Choose the cut-offs of a replay: the rare days on which look-ahead tends to hide.

A fault that acts on rare days shows only where the data ends on such a day, or on the day before it. So of each kind
of rare day there is one among the cut-offs, always; chance would hit one in ten.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.features import FeatureInputs
from pipeline.market import Instrument, label_sessions, session_schedule

__all__ = ["choose_cutoffs", "last_sessions", "rare_days"]

Ints = NDArray[np.int64]

# What a fault would like to know a session ahead.
_FORETOLD = ("roll", "largest fall", "largest rise")


def rare_days(history: pd.DataFrame, instrument: Instrument, seed: int) -> Mapping[str, Ints]:
    """One of each kind of rare day, as positions in the history; of rolls, falls and rises the session before it too.

    Parameters
    ----------
    history
        From :func:`pipeline.strategy.session_history`, shape (n, ...).
    instrument
        Whose calendar and clock count.
    seed
        Draws among the days of a kind; the worst days are what they are.

    Returns
    -------
    Mapping
        Kind -> positions, rising; the last session is none, for nothing lies behind it. A kind that the data doesn't
        hold is absent. Kinds: ``early close``, ``roll``, ``clock change`` (the first session after it, of the
        instrument's clock, or New York's where that never changes), ``third Wednesday``, ``third Friday`` (the session
        before where that is a holiday), ``largest fall``, ``largest rise``, ``widest range`` (against the average
        range of the sessions before), ``greatest volume`` (against the sessions before).
    """
    sessions = pd.DatetimeIndex(history.index).as_unit("ns")
    count = len(sessions)
    if count < 2:
        return {}
    random = np.random.default_rng(seed)
    returns = history["log_return"].to_numpy(np.float64)
    span = history["high"] - history["low"]
    volume = history["volume"]
    usual_span, usual_volume = (column.rolling(20, min_periods=5).median().shift(1) for column in (span, volume))
    kinds: dict[str, Ints] = {
        "early close": _early_closes(sessions, instrument),
        "roll": _rolls(history),
        "clock change": _clock_changes(sessions, instrument),
        "third Wednesday": _nth_weekdays(sessions, 2),
        "third Friday": _nth_weekdays(sessions, 4),
        "largest fall": _extreme(-returns),
        "largest rise": _extreme(returns),
        "widest range": _extreme((span / usual_span).to_numpy(np.float64)),
        "greatest volume": _extreme((volume / usual_volume).to_numpy(np.float64)),
    }
    chosen: dict[str, Ints] = {}
    for kind, places in kinds.items():
        # The session before it has to be there too, and one behind it.
        usable = places[(places > 0) & (places < count - 1)]
        if len(usable):
            place = int(random.choice(usable))
            chosen[kind] = np.array([place - 1, place] if kind in _FORETOLD else [place], np.int64)
    return chosen


def choose_cutoffs(inputs: FeatureInputs, count: int, seed: int) -> Ints:
    """Positions of sessions at whose closes to cut off, rising: those of :func:`rare_days`, and ``count`` more.

    The others are in turn one of each kind, the places drawn by the seed: the last session but one, the session before
    a roll, the roll itself, the end and the beginning of a calendar quarter, before and after a holiday, the middle of
    a contract, an early session; then any. Never the last session: nothing lies behind it.

    Parameters
    ----------
    count
        How many beside the rare days; fewer where there are fewer sessions.
    """
    sessions, last = inputs.sessions, len(inputs.sessions) - 1
    if last < 1:
        return np.empty(0, np.int64)
    rng = np.random.default_rng(seed)
    rolls = np.flatnonzero(inputs.rolled)[1:]
    quarter = np.asarray(sessions.year * 4 + sessions.quarter)
    begins = np.flatnonzero(np.diff(quarter)) + 1
    reopened = _after_pauses(inputs)
    middles = (np.append(0, rolls) + np.append(rolls, last)) // 2 if len(rolls) else np.empty(0, np.int64)
    kinds = (
        np.array([last - 1]),
        rolls - 1,
        rolls,
        begins - 1,
        middles,
        begins,
        reopened - 1,
        reopened,
        np.array([last // 8]),
        np.arange(last // 4, last),
    )
    queues = [rng.permutation(places[(places >= 0) & (places < last)]) for places in kinds]
    # One of each kind in turn; then whatever there is, at random.
    turns = itertools.chain(
        *itertools.zip_longest(*(queue[: 1 + count // len(kinds)] for queue in queues)), rng.permutation(last)
    )
    drawn = dict.fromkeys(int(place) for place in turns if place is not None)
    rare = rare_days(inputs.history, inputs.instrument, seed).values()
    chosen = {*itertools.islice(drawn, max(count, 1)), *(int(place) for places in rare for place in places)}
    return np.array(sorted(chosen), np.int64)


def _early_closes(sessions: pd.DatetimeIndex, instrument: Instrument) -> Ints:
    length = _lengths(sessions, instrument)
    return np.flatnonzero(length < np.median(length)).astype(np.int64)


def _rolls(history: pd.DataFrame) -> Ints:
    if "contract" not in history.columns:
        return np.empty(0, np.int64)
    names = history["contract"].to_numpy(object)
    return (np.flatnonzero(names[1:] != names[:-1]) + 1).astype(np.int64)


def _clock_changes(sessions: pd.DatetimeIndex, instrument: Instrument) -> Ints:
    for zone in (instrument.time_zone, "America/New_York"):
        noon = (sessions + pd.Timedelta(hours=12)).tz_localize(zone)
        offset = noon.tz_localize(None).asi8 - noon.tz_convert("UTC").tz_localize(None).asi8
        changed: Ints = (np.flatnonzero(np.diff(offset)) + 1).astype(np.int64)
        if len(changed):
            return changed
    return np.empty(0, np.int64)


def _nth_weekdays(sessions: pd.DatetimeIndex, weekday: int) -> Ints:
    """Sessions of each month's third such weekday, or the last one before it where there is none on it."""
    months = pd.date_range(sessions[0].replace(day=1), sessions[-1], freq="MS")
    days = months + pd.to_timedelta((weekday - months.day_of_week) % 7 + 14, unit="D")
    days = days[(days >= sessions[0]) & (days <= sessions[-1])]
    return np.unique(sessions.searchsorted(days, side="right") - 1).astype(np.int64)


def _extreme(values: NDArray[np.float64]) -> Ints:
    """Return the place of the greatest value that has a session before and after it."""
    inner = values[1:-1]
    if len(inner) == 0 or np.isnan(inner).all():
        return np.empty(0, np.int64)
    return np.array([int(np.nanargmax(inner)) + 1], np.int64)


def _lengths(sessions: pd.DatetimeIndex, instrument: Instrument) -> Ints:
    """Length of each session's regular hours, nanoseconds."""
    schedule = session_schedule(instrument, sessions[0], sessions[-1]).loc[sessions]
    closes, opens = (pd.DatetimeIndex(schedule[name]).as_unit("ns").asi8 for name in ("rth_close", "rth_open"))
    return (closes - opens).astype(np.int64)


def _after_pauses(inputs: FeatureInputs) -> Ints:
    """Sessions after a longer pause than their weekday usually has, or after a session that closed early."""
    sessions = inputs.sessions
    days = np.append(0, np.diff(sessions.asi8)) // (24 * 3600 * 10**9)
    length = _lengths(sessions, inputs.instrument)
    usual = pd.Series(days).groupby(sessions.day_of_week).transform("median").to_numpy()
    short = np.append(False, length[:-1] < np.median(length))
    found: Ints = np.flatnonzero((days > usual) | short).astype(np.int64)
    return found


def last_sessions(bars: pd.DataFrame, instrument: Instrument, count: int) -> pd.DataFrame:
    """Bars of the last ``count`` sessions that have any; all of them where there are no more.

    Two years prove as much of a feature as twenty: it may look back a quarter or three, and the cut-offs lie
    within them.
    """
    labels = label_sessions(pd.DatetimeIndex(bars["timestamp"]), instrument)
    held = pd.unique(labels.position[labels.position >= 0])
    if len(held) <= count:
        return bars
    return bars[labels.position >= held[-count]].reset_index(drop=True)
